#include "agent/seen/board.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <utility>

#include "agent/base/printable.h"
#include "agent/dataplane/describe.h"
#include "agent/dataplane/left_behind.h"

namespace kubenatd::agent::seen {
namespace {

using dataplane::RefusedObject;
using dataplane::RoundReport;
using Kind = Happening::Kind;

base::WallTime wall_now() {
  return std::chrono::system_clock::now();
}

std::string kernel_release() {
  utsname system{};
  return ::uname(&system) == 0 ? std::string(static_cast<const char*>(system.release)) : std::string("unknown");
}

std::string to_name(rules::Family family) {
  return std::string(name_of(family));
}

std::vector<std::string> words_of(const std::vector<rules::ObjectRef>& objects) {
  std::vector<std::string> words;
  for (const rules::ObjectRef& object : objects) {
    if (words.size() == History::kNamedObjects) break;
    words.push_back(dataplane::describe(object));
  }
  return words;
}

std::string news_of(const dataplane::OtherProxies::News& news) {
  using Told = dataplane::OtherProxies::News::Kind;
  std::string what(name_of(news.what));
  switch (news.kind) {
    case Told::kRemoved: return what + " removed";
    case Told::kRemovedAgain: return what + " had come back and was removed again";
    case Told::kAnswers: return fmt::format("{} stands beside ours: its maker answers at {}", what, news.where);
    case Told::kOwned: return fmt::format("{} stands beside ours: it belongs to {}", what, news.where);
    case Told::kComesBack: return what + " comes back again and again, and is left";
  }
  return what;
}

}  // namespace

Board::Board(About about) : about_(std::move(about)), started_(wall_now()), kernel_(kernel_release()) {
  for (const rules::Family family : rules::kFamilies)
    families_[static_cast<std::size_t>(family)].used = family == rules::Family::kIpv4 || about_.ipv6;
  if (about_.mode == config::Config::Mode::kNftables) owner_ = "none";
}

void Board::note_waiting(const std::string& what) {
  const base::MutexLock lock(mutex_);
  if (waits_for_ == what) return;
  waits_for_ = what;
  changed();
}

void Board::note_changes() {
  const base::WallTime now = wall_now();
  const base::MutexLock lock(mutex_);
  for (FamilyState& state : families_)
    if (state.used && !state.waiting_since) state.waiting_since = now;
  changed();
}

void Board::note_owner(const std::string& owner) {
  const base::MutexLock lock(mutex_);
  owner_ = owner;
  changed();
}

void Board::note_fast_path(rules::Family family, const dataplane::FastPathState& fast_path) {
  const base::MutexLock lock(mutex_);
  state_of(family).fast_path = fast_path;
  changed();
}

void Board::note_left(rules::Family family, const std::vector<dataplane::LeftBehind>& left) {
  const base::MutexLock lock(mutex_);
  FamilyState& state = state_of(family);
  if (state.left == left) return;
  state.left = left;
  changed();
}

void Board::note_source(const SourceState& told) {
  const base::WallTime now = wall_now();
  const base::MutexLock lock(mutex_);
  auto source = std::ranges::find(sources_, told.resource, [](const Source& one) { return one.state.resource; });
  if (source == sources_.end()) source = sources_.insert(sources_.end(), {{.resource = told.resource}, std::nullopt});
  SourceState& known = source->state;
  if (known.objects != told.objects || known.absent != told.absent) changed();
  known.objects = told.objects;
  known.absent = told.absent;
  const bool fails = !told.failure.empty();
  if (!told.up && !fails) return;  // what was before holds until the try has an end
  const bool failed = !known.failure.empty();
  if (known.up == told.up && known.failure == told.failure) return;
  changed();
  const std::optional<base::WallTime> before = source->since;
  if (known.up != told.up || failed != fails) source->since = now;
  known.up = told.up;
  known.failure = told.failure;
  if (fails && !failed)
    history_.add({.kind = Kind::kSourceDown, .at = now, .what = fmt::format("{}: {}", told.resource, told.failure)});
  if (!fails && failed)
    history_.add({.kind = Kind::kSourceUp, .at = now, .what = told.resource, .stood = now - before.value_or(now)});
}

void Board::note_round(const RoundReport& report, const dataplane::Model& model) {
  const base::WallTime now = wall_now();
  const base::MutexLock lock(mutex_);
  bool news = !report.families.empty() || !report.clashes.empty() || !report.other_proxies.empty();
  for (const RoundReport::Family& told : report.families) note_family(told, report.last_writer, now, model);
  for (const RoundReport::Clash& told : report.clashes) note_clash(told);
  for (const auto& told : report.other_proxies)
    history_.add({.kind = Kind::kOtherProxy, .at = now, .family = to_name(told.family), .what = news_of(told)});
  if (report.overruns != 0) {
    history_.add({.kind = Kind::kEventsLost,
                  .at = now,
                  .what = "events of the kernel were lost; everything is read and compared"});
    news = true;
  }
  news = news || !waits_for_.empty();
  waits_for_.clear();
  bool all_settled = true;
  for (const rules::Family family : rules::kFamilies) {
    FamilyState& state = state_of(family);
    if (!state.used) continue;
    if (!report.settled[static_cast<std::size_t>(family)]) {
      all_settled = false;
      continue;
    }
    news = news || state.waiting_since;
    state.last_sync = now;
    state.waiting_since.reset();
  }
  objects_ = {.services = model.state().services(),
              .endpoint_slices = model.state().endpoint_slices(),
              .endpoints = model.state().known_endpoints(rules::Family::kIpv4) +
                           model.state().known_endpoints(rules::Family::kIpv6)};
  if (all_settled && !first_sync_) {
    first_sync_ = now;
    history_.add({.kind = Kind::kFirstSync,
                  .at = now,
                  .what = fmt::format("{} Services, {} endpoints", objects_.services, objects_.endpoints)});
    news = true;
  }
  if (news) changed();
}

void Board::note_family(const RoundReport::Family& told, const std::string& writer, base::WallTime now,
                        const dataplane::Model& model) {
  FamilyState& state = state_of(told.family);
  ++state.syncs;
  state.took = told.took;
  if (told.error) {
    note_failure(state, told, now);
    return;
  }
  if (state.failing_since)
    history_.add({.kind = Kind::kSyncWorks,
                  .at = now,
                  .family = to_name(told.family),
                  .stood = now - *std::exchange(state.failing_since, std::nullopt)});
  state.error.clear();
  if (told.sync.wrote) state.last_write = now;
  const dataplane::Dataplane& dataplane = model.dataplane(told.family);
  state.rules.clear();
  for (const dataplane::OwnedRules& owned : dataplane.owned_rules())
    state.rules.push_back({std::string(name_of(owned.table)), owned.count});
  note_drift(state, told, writer, now);
  note_refusals(state, told, now, model);
  state.withheld = dataplane.host_ports().withheld();
  state.withheld_ports = state.withheld.size();
  if (state.withheld.size() > kMostNamed) state.withheld.resize(kMostNamed);
}

void Board::note_failure(FamilyState& state, const RoundReport::Family& told, base::WallTime now) {
  ++state.failed_syncs;
  state.error = base::one_line(told.error->to_string(), History::kLongestText);
  if (!state.waiting_since) state.waiting_since = now;
  if (state.failing_since) return;
  state.failing_since = now;
  history_.add({.kind = Kind::kSyncFailed, .at = now, .family = to_name(told.family), .what = state.error});
}

void Board::note_drift(FamilyState& state, const RoundReport::Family& told, const std::string& writer,
                       base::WallTime now) {
  const dataplane::Drift::Report& drift = told.sync.drift;
  state.drift_found += drift.found.size();
  state.drift_healed += drift.healed.size();
  if (!drift.healed.empty()) {
    state.last_drift = now;
    history_.add({.kind = Kind::kDrift,
                  .at = now,
                  .family = to_name(told.family),
                  .what = {},
                  .objects = words_of(drift.healed),
                  .more_objects = drift.healed.size() - std::min(drift.healed.size(), History::kNamedObjects),
                  .chains = told.sync.chains,
                  .rules = told.sync.rules[0] + told.sync.rules[1] + told.sync.table_rules,
                  .elements = told.sync.elements,
                  .writers = told.healed_of,
                  .stood = told.healed_after});
    for (const rules::ObjectRef& object : drift.healed)
      if (object.kind == rules::ObjectRef::Kind::kChain) remember_chain(object.name, now);
  }
  if (drift.disputes.empty()) return;
  state.disputed_at = now;
  state.disputed =
      fmt::format("{} is changed again and again by {}", dataplane::describe(drift.disputes.front().object), writer);
  std::vector<rules::ObjectRef> objects;
  for (const dataplane::Drift::Dispute& dispute : drift.disputes) {
    if (objects.size() == History::kNamedObjects) break;
    objects.push_back(dispute.object);
  }
  history_.add({.kind = Kind::kDisputed,
                .at = now,
                .family = to_name(told.family),
                .what = {},
                .objects = words_of(objects),
                .more_objects = drift.disputes.size() - objects.size(),
                .writers = {writer}});
}

void Board::remember_chain(const std::string& chain, base::WallTime now) {
  auto found = chain_drift_.find(chain);
  if (found == chain_drift_.end()) {
    // A flush of all chains says nothing about single Services; those that were there first are kept.
    if (chain_drift_.size() == kMostChains) return;
    found = chain_drift_.try_emplace(chain).first;
  }
  ++found->second.times;
  found->second.last = base::to_rfc3339(now);
}

void Board::note_refusals(FamilyState& state, const RoundReport::Family& told, base::WallTime now,
                          const dataplane::Model& model) {
  std::size_t named = 0;
  for (const RefusedObject& refused : told.sync.refused) {
    if (++named > History::kNamedObjects) break;
    history_.add(
        {.kind = Kind::kRefused, .at = now, .family = to_name(told.family), .what = dataplane::describe(refused)});
  }
  if (!told.sync.in_force.empty())
    history_.add({.kind = Kind::kInForce, .at = now, .family = to_name(told.family), .objects = told.sync.in_force});
  state.refused = model.dataplane(told.family).refused();
  state.refused_objects = state.refused.size();
  if (state.refused.size() > kMostNamed) state.refused.resize(kMostNamed);
}

void Board::note_clash(const RoundReport::Clash& told) {
  FamilyState& state = state_of(told.family);
  if (told.clash.claimants.size() < 2) {
    if (state.clashes.erase(told.clash.frontend) == 0 && state.more_clashes != 0) --state.more_clashes;
  } else if (const auto known = state.clashes.find(told.clash.frontend); known != state.clashes.end()) {
    known->second = told.clash;
  } else if (state.clashes.size() < kMostNamed) {
    state.clashes.emplace(told.clash.frontend, told.clash);
  } else {
    ++state.more_clashes;
  }
}

std::vector<Happening> Board::history_after(std::uint64_t number) const {
  const base::MutexLock lock(mutex_);
  return history_.after(number);
}

}  // namespace kubenatd::agent::seen
