#include "agent/dataplane/reconciler.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace kubenatd::agent::dataplane {
namespace {

using rules::Family;

constexpr auto kFirstRetry = std::chrono::seconds(1);
constexpr auto kLongestRetry = std::chrono::seconds(60);
/// The kernel tells nobody when the owner of a table goes (nft_rcv_nl_event, 6.18), so it is asked: one question.
constexpr auto kOwnerRetry = std::chrono::milliseconds(250);
/// Programs that are named for what one sync healed.
constexpr std::size_t kMostWriters = 4;

/// How the rules of a mode stand to each other where several service ports claim one frontend.
state::Precedence precedence_of(config::Config::Mode mode) {
  switch (mode) {
    case config::Config::Mode::kIptables: return state::Precedence::kInTurn;
    case config::Config::Mode::kNftables: return state::Precedence::kOneOwner;
  }
  return state::Precedence::kInTurn;
}

}  // namespace

bool RoundReport::failed() const {
  if (!problems.empty()) return true;
  return std::ranges::any_of(
      families, [](const Family& one) { return one.error || !one.sync.refused.empty() || !one.sync.emptied.empty(); });
}

bool RoundReport::wrote() const {
  return std::ranges::any_of(families, [](const Family& one) { return one.sync.wrote; });
}

rules::Result<std::unique_ptr<Reconciler>> Reconciler::open(Model& model, Kernel& kernel) {
  auto session = NfSession::open(kernel);
  if (!session) return std::unexpected(session.error());
  if (auto started = session->start(); !started) return std::unexpected(started.error());
  return std::unique_ptr<Reconciler>(new Reconciler(model, kernel, std::move(*session)));
}

Reconciler::Reconciler(Model& model, Kernel& kernel, NfSession session)
    : model_(model),
      kernel_(kernel),
      session_(std::move(session)),
      next_audit_(Clock::now() + model.config().audit_period) {
  for (const Family family : rules::kFamilies) {
    if (family == Family::kIpv6 && !model_.environment().ipv6) continue;
    FamilyState& state =
        families_.emplace_back(model_.dataplane(family), model_.config().mode, precedence_of(model_.config().mode));
    follow_node(state);
    state.dataplane.for_each_view([&](const rules::ServicePortView& view) { state.flows.add(view); });
  }
}

Reconciler::FamilyState* Reconciler::state_of(Family family) {
  const auto found =
      std::ranges::find(families_, family, [](const FamilyState& state) { return state.dataplane.family(); });
  return found == families_.end() ? nullptr : &*found;
}

void Reconciler::follow_node(FamilyState& family) {
  const config::Environment& environment = model_.environment();
  family.flows.set_node(family.dataplane.node_options(), environment.local_addresses, environment.local_prefixes);
}

void Reconciler::apply(std::vector<objects::ObjectEvent> events) {
  asked_ = asked_ || !events.empty();
  note_views(model_.apply(std::move(events)));
}

void Reconciler::note_views(const std::vector<state::ViewChange>& changes) {
  for (const state::ViewChange& change : changes)
    if (FamilyState* family = state_of(change.family)) family->flows.apply(change);
}

void Reconciler::set_environment(config::Environment environment) {
  note_views(model_.set_environment(std::move(environment)));
  for (FamilyState& family : families_) {
    follow_node(family);
    family.flows.follow(family.dataplane.host_ports());
  }
}

void Reconciler::note(const netlink::TableEvent& event) {
  const Time now = Clock::now();
  canary_.note(event);
  for (FamilyState& family : families_) family.others.note(event, now);
  if (event.kind == netlink::TableEvent::Kind::kGeneration) {
    last_writer_ = fmt::format("{} ({})", event.process_name, event.process_id);
    for (FamilyState& family : families_) {
      if (!std::exchange(family.touched, false) || family.writers.size() >= kMostWriters) continue;
      if (std::ranges::find(family.writers, last_writer_) == family.writers.end())
        family.writers.push_back(last_writer_);
    }
    return;
  }
  for (FamilyState& family : families_) family.touched = family.dataplane.note(event, now) || family.touched;
}

rules::Status Reconciler::handle_events() {
  auto drained = session_.drain([this](const netlink::TableEvent& event) { note(event); });
  if (!drained) return std::unexpected(drained.error());
  if (!drained->overrun) return {};
  const Time now = Clock::now();
  for (FamilyState& family : families_) {
    family.dataplane.require_audit(Dataplane::Audit::kEventsLost, now);
    family.others.suspect_all(now);
  }
  return {};
}

std::optional<Time> Reconciler::due_of(const FamilyState& family) const {
  const std::optional<Time> due = family.dataplane.due();
  return due ? std::optional(std::max(*due, family.retry_at)) : std::nullopt;
}

Time Reconciler::deadline() const {
  if (asked_) return {};  // long ago
  Time earliest = next_audit_;
  for (const FamilyState& family : families_) {
    if (const auto due = due_of(family)) earliest = std::min(earliest, *due);
    if (!family.dataplane.settled()) continue;
    if (family.flows.is_due(Time{})) return {};
    if (const auto look = family.others.due()) earliest = std::min(earliest, *look);
    if (const auto again = family.flows.again()) earliest = std::min(earliest, *again);
  }
  return earliest;
}

void Reconciler::require_audit() {
  next_audit_ = {};
}

RoundReport Reconciler::reconcile(bool everything) {
  const Time start = Clock::now();
  const std::chrono::nanoseconds kernel_before = session_.kernel_time();
  RoundReport report;
  asked_ = false;
  if (start >= next_audit_) {
    for (FamilyState& family : families_) {
      family.dataplane.require_audit(Dataplane::Audit::kPeriodic, start);
      family.others.suspect_all(start);
    }
    next_audit_ = start + model_.config().audit_period;
  }
  if (auto handled = handle_events(); !handled) report.problems.push_back(handled.error());
  for (FamilyState& family : families_) {
    const auto due = due_of(family);
    if (due && (everything || *due <= start)) sync(family, everything, report);
    const bool settled = family.dataplane.settled();
    report.settled[static_cast<std::size_t>(family.dataplane.family())] = settled;
    if (settled)
      for (rules::Clash& clash : family.dataplane.take_clashes())
        report.clashes.push_back({family.dataplane.family(), std::move(clash)});
    if (settled && family.flows.is_due(start)) sweep(family, start, report);
    // Once ours is in force, so that no packet is without rules.
    if (settled)
      std::ranges::move(family.others.look(session_.kernel(), answers_, start, report.problems),
                        std::back_inserter(report.other_proxies));
  }
  report.last_writer = last_writer_;
  report.took = Clock::now() - start;
  report.kernel_time = session_.kernel_time() - kernel_before;
  report.overruns = session_.overruns() - std::exchange(overruns_told_, session_.overruns());
  return report;
}

void Reconciler::sync(FamilyState& family, bool everything, RoundReport& report) {
  const Time start = Clock::now();
  auto done = family.dataplane.sync(session_, [this](const netlink::TableEvent& event) { note(event); },
                                    {.now = start, .everything = everything});
  const Time now = Clock::now();
  TableOwnership ownership = family.dataplane.table_ownership();
  const bool is_news = ownership != family.ownership;
  family.ownership = std::move(ownership);
  if (!done) delay(family, now);
  // The same as before: it waits for another program to end.
  if (!done && family.ownership.state == TableOwnership::State::kForeign && !is_news) return;
  RoundReport::Family& told = report.families.emplace_back(family.dataplane.family());
  told.took = now - start;
  if (is_news) told.ownership = family.ownership;
  if (FastPathState fast_path = family.dataplane.fast_path(); fast_path != family.fast_path)
    told.fast_path = family.fast_path = std::move(fast_path);
  if (!done) {
    told.error = done.error();
    return;
  }
  told.sync = std::move(*done);
  family.retry_at = {};
  family.retry_delay = {};
  if (!told.sync.drift.healed.empty() && told.sync.drift.healed_since)
    told.healed_after = now - *told.sync.drift.healed_since;
  // What is found and not healed yet waits, and is theirs still.
  if (!told.sync.drift.healed.empty() || told.sync.drift.found.empty())
    told.healed_of = std::exchange(family.writers, {});
  family.flows.follow(family.dataplane.host_ports());
  if (!std::exchange(family.left_over_known, true))
    for (const UdpFrontend& frontend : family.dataplane.found_at_start()) family.flows.add_left_over(frontend);
  if (const auto taken = canary_.take_away(session_, family.dataplane.family()); !taken)
    report.problems.push_back(taken.error());
}

void Reconciler::delay(FamilyState& family, Time now) {
  if (family.ownership.state == TableOwnership::State::kForeign) {
    family.retry_at = now + kOwnerRetry;
    return;
  }
  family.retry_delay = family.retry_delay == Clock::duration{}
                           ? Clock::duration(kFirstRetry)
                           : std::min(Clock::duration(kLongestRetry), family.retry_delay * 2);
  family.retry_at = now + family.retry_delay;
}

std::vector<LeftBehind> Reconciler::left_standing(Family family) const {
  for (const FamilyState& state : families_)
    if (state.dataplane.family() == family) return state.others.left();
  return {};
}

void Reconciler::sweep(FamilyState& family, Time now, RoundReport& report) {
  const auto swept = family.flows.sweep(kernel_, now);
  if (!swept) {
    report.problems.push_back(swept.error());
    return;
  }
  report.conntrack_deleted += swept->deleted;
  report.sweeps.push_back({family.dataplane.family(), swept->deleted, swept->took});
}

}  // namespace kubenatd::agent::dataplane
