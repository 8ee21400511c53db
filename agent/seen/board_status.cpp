#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "agent/base/printable.h"
#include "agent/dataplane/left_behind.h"
#include "agent/seen/board.h"

namespace kubenatd::agent::seen {
namespace {

using dataplane::RefusedObject;

std::optional<std::string> text_of(const std::optional<base::WallTime>& time) {
  return time ? std::optional(base::to_rfc3339(*time)) : std::nullopt;
}

std::string seconds_since(base::WallTime then, base::WallTime now) {
  return fmt::format("{} s",
                     std::max<std::int64_t>(std::chrono::duration_cast<std::chrono::seconds>(now - then).count(), 0));
}

std::string cause_of(const RefusedObject& refused) {
  return base::one_line(rules::to_error(refused.refusal).to_string(), History::kLongestText);
}

/// "demo/a, demo/b and 7 more"
std::string some_of(const std::vector<std::string>& names, std::size_t all) {
  constexpr std::size_t kNamed = 3;
  std::string text;
  for (std::size_t i = 0; i < std::min(kNamed, names.size()); ++i) text += (i == 0 ? "" : ", ") + names[i];
  return all > kNamed ? fmt::format("{} and {} more", text, all - kNamed) : text;
}

std::string_view words_of(rules::nftables::FastPath fast_path) {
  switch (fast_path) {
    case rules::nftables::FastPath::kOff: break;
    case rules::nftables::FastPath::kTcp: return "TCP";
    case rules::nftables::FastPath::kTcpAndUdp: return "TCP and UDP";
  }
  return "";
}

}  // namespace

Status Board::status(base::WallTime now) const {
  const base::MutexLock lock(mutex_);
  Status status{.schema = kStatusSchema,
                .version = KUBENATD_VERSION,
                .node = about_.node,
                .mode = std::string(config::name_of(about_.mode)),
                .kernel = kernel_,
                .started = base::to_rfc3339(started_),
                .now = base::to_rfc3339(now),
                .ready = first_sync_.has_value(),
                .waits_for = base::one_line(waits_for_, History::kLongestText),
                .objects_of = about_.objects_of,
                .owner = owner_,
                .objects = objects_,
                .problems = problems(now),
                .families = {},
                .sources = {},
                .refused = {},
                .refused_objects = 0,
                .withheld = {},
                .withheld_ports = 0,
                .clashes = {},
                .clashing_frontends = 0,
                .other_proxies = {},
                .last_happening = history_.last_number()};
  for (const rules::Family family : rules::kFamilies)
    if (families_[static_cast<std::size_t>(family)].used) status.families.push_back(status_of(family));
  for (const Source& source : sources_)
    status.sources.push_back({.resource = source.state.resource,
                              .up = source.state.up,
                              .objects = source.state.objects,
                              .failure = base::one_line(source.state.failure, History::kLongestText),
                              .absent = base::one_line(source.state.absent, History::kLongestText),
                              .since = text_of(source.since)});
  add_lists(status);
  return status;
}

FamilyStatus Board::status_of(rules::Family family) const {
  const FamilyState& state = families_[static_cast<std::size_t>(family)];
  return {.family = std::string(name_of(family)),
          .last_sync = text_of(state.last_sync),
          .last_write = text_of(state.last_write),
          .waiting_since = text_of(state.waiting_since),
          .error = state.error,
          .failing_since = text_of(state.failing_since),
          .syncs = state.syncs,
          .failed_syncs = state.failed_syncs,
          .last_sync_seconds = std::chrono::duration<double>(state.took).count(),
          .rules = state.rules,
          .drift_found = state.drift_found,
          .drift_healed = state.drift_healed,
          .last_drift = text_of(state.last_drift),
          .fast_path = std::string(words_of(state.fast_path.in_force)),
          .fast_path_devices = state.fast_path.devices};
}

void Board::add_lists(Status& status) const {
  for (const rules::Family family : rules::kFamilies) {
    const FamilyState& state = families_[static_cast<std::size_t>(family)];
    const std::string name(name_of(family));
    for (const RefusedObject& refused : state.refused)
      status.refused.push_back({.family = name,
                                .kind = refused.kind == RefusedObject::Kind::kPod ? "pod" : "service-port",
                                .name = refused.name,
                                .cause = cause_of(refused)});
    status.refused_objects += state.refused_objects;
    for (const auto& remark : state.withheld)
      status.withheld.push_back({.family = name,
                                 .pod = remark.pod,
                                 .port = rules::hostport::to_text(remark.mapping),
                                 .owner = base::one_line(remark.owner.value_or(""), History::kLongestText),
                                 .text = base::one_line(rules::hostport::to_text(remark), History::kLongestText)});
    status.withheld_ports += state.withheld_ports;
    for (const auto& [frontend, clash] : state.clashes)
      status.clashes.push_back(
          {.family = name, .frontend = rules::to_text(frontend), .claimants = clash.claimants, .serves = clash.serves});
    status.clashing_frontends += state.clashes.size() + state.more_clashes;
    for (const dataplane::LeftBehind what : state.left)
      status.other_proxies.push_back(fmt::format("{}: {}", name, name_of(what)));
  }
}

std::vector<std::string> Board::problems(base::WallTime now) const {
  std::vector<std::string> problems;
  if (!first_sync_ && !waits_for_.empty())
    problems.push_back("no rules are written yet: " + base::one_line(waits_for_, History::kLongestText));
  for (const rules::Family family : rules::kFamilies)
    if (families_[static_cast<std::size_t>(family)].used) add_problems(family, now, problems);
  for (const Source& source : sources_)
    if (!source.state.failure.empty())
      problems.push_back(fmt::format("{} are not up to date{}: {}", source.state.resource,
                                     source.since ? " for " + seconds_since(*source.since, now) : "",
                                     base::one_line(source.state.failure, History::kLongestText)));
  return problems;
}

void Board::add_problems(rules::Family family, base::WallTime now, std::vector<std::string>& problems) const {
  const FamilyState& state = families_[static_cast<std::size_t>(family)];
  const auto add = [&](const std::string& text) { problems.push_back(fmt::format("{}: {}", name_of(family), text)); };
  if (state.failing_since)
    add(fmt::format("syncs fail for {}: {}", seconds_since(*state.failing_since, now), state.error));
  else if (first_sync_ && state.waiting_since && now - *state.waiting_since > kLongestWait)
    add(fmt::format("changes wait for {} to be written", seconds_since(*state.waiting_since, now)));
  if (state.refused_objects != 0) {
    std::vector<std::string> names;
    for (const RefusedObject& refused : state.refused) names.push_back(refused.name);
    add(fmt::format("the kernel refuses {}: {}", some_of(names, state.refused_objects),
                    cause_of(state.refused.front())));
  }
  for (const auto& remark : state.withheld) add(base::one_line(to_text(remark), History::kLongestText));
  if (state.withheld_ports > state.withheld.size())
    add(fmt::format("{} more hostPorts are withheld", state.withheld_ports - state.withheld.size()));
  for (const auto& [frontend, clash] : state.clashes)
    add(fmt::format("{} is claimed by {}: {} serves it", rules::to_text(frontend),
                    some_of(clash.claimants, clash.claimants.size()), clash.serves.empty() ? "none" : clash.serves));
  if (state.more_clashes != 0)
    add(fmt::format("{} more frontends are claimed by several Services", state.more_clashes));
  for (const dataplane::LeftBehind what : state.left)
    add(fmt::format("{} stands beside our rules: {} runs", name_of(what), maker_of(what)));
  if (state.disputed_at && now - *state.disputed_at < kDisputeLasts) add(state.disputed);
}

ServiceRemarks Board::service_remarks() const {
  const base::MutexLock lock(mutex_);
  ServiceRemarks remarks{.first_sync = first_sync_, .problems = {}, .chain_drift = chain_drift_};
  for (const FamilyState& state : families_) {
    for (const RefusedObject& refused : state.refused)
      if (refused.kind == RefusedObject::Kind::kServicePort)
        remarks.problems[refused.name].push_back("refused by the kernel: " + cause_of(refused));
    for (const auto& [frontend, clash] : state.clashes)
      for (const std::string& claimant : clash.claimants)
        if (claimant != clash.serves)
          remarks.problems[claimant].push_back(fmt::format("{} is claimed by another: {} serves it",
                                                           rules::to_text(frontend),
                                                           clash.serves.empty() ? "nobody" : clash.serves));
  }
  return remarks;
}

}  // namespace kubenatd::agent::seen
