#include "agent/state/endpoint_choice.h"

#include <algorithm>
#include <utility>

namespace kubenatd::agent::state {
namespace {

enum class Preference { kNone, kSameNode, kSameZone };

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

/// Hints count only when every ready endpoint has one of the kind and at least one of them names this place; otherwise
/// an endpoint made by something that knows no hints would never get traffic.
bool hints_apply(const std::vector<Candidate>& candidates, std::string_view here,
                 const std::vector<std::string>* Candidate::*hints) {
  if (here.empty()) return false;
  bool some_name_us = false;
  for (const Candidate& candidate : candidates) {
    if (!candidate.ready) continue;
    const auto& names = *(candidate.*hints);
    if (names.empty()) return false;
    some_name_us = some_name_us || contains(names, here);
  }
  return some_name_us;
}

Preference preference_for(const std::vector<Candidate>& candidates, const Topology& topology) {
  if (hints_apply(candidates, topology.node_name, &Candidate::node_hints)) return Preference::kSameNode;
  if (hints_apply(candidates, topology.zone, &Candidate::zone_hints)) return Preference::kSameZone;
  return Preference::kNone;
}

bool fits(const Candidate& candidate, Preference preference, const Topology& topology) {
  switch (preference) {
    case Preference::kNone: return true;
    case Preference::kSameNode: return contains(*candidate.node_hints, topology.node_name);
    case Preference::kSameZone: return contains(*candidate.zone_hints, topology.zone);
  }
  return true;
}

bool is_draining(const Candidate& candidate) {
  return candidate.serving && candidate.terminating;
}

}  // namespace

void choose_endpoints(rules::ServicePortView& view, const std::vector<Candidate>& candidates,
                      const Topology& topology) {
  const bool externally = rules::externally_accessible(view);
  // The short circuit: pods and the node itself use all endpoints even under external policy Local.
  const bool uses_cluster = !view.internal_policy_local || externally;
  const bool uses_local = view.internal_policy_local || (view.external_policy_local && externally);

  std::vector<std::pair<std::string, rules::Endpoint>> chosen;
  chosen.reserve(candidates.size());
  const Preference preference = uses_cluster ? preference_for(candidates, topology) : Preference::kNone;
  bool any_cluster = false;
  bool any_usable = false;
  bool any_local_ready = false;
  for (const Candidate& candidate : candidates) {
    any_cluster = any_cluster || (candidate.ready && fits(candidate, preference, topology));
    any_usable = any_usable || candidate.ready || is_draining(candidate);
    any_local_ready = any_local_ready || (candidate.ready && candidate.is_local);
  }

  view.has_endpoints = uses_local && any_usable;
  bool local_draining_used = false;
  for (const Candidate& candidate : candidates) {
    rules::Endpoint endpoint{.address = candidate.address, .port = candidate.port};
    endpoint.is_local = candidate.is_local;
    endpoint.is_ready = candidate.ready;
    endpoint.is_serving = candidate.serving;
    if (uses_cluster) {
      endpoint.for_cluster =
          any_cluster ? candidate.ready && fits(candidate, preference, topology) : is_draining(candidate);
      view.has_endpoints = view.has_endpoints || endpoint.for_cluster;
    }
    if (uses_local && candidate.is_local) {
      endpoint.for_local = any_local_ready ? candidate.ready : !candidate.ready && is_draining(candidate);
      local_draining_used = local_draining_used || (endpoint.for_local && !any_local_ready);
    }
    chosen.emplace_back(rules::join_host_port(candidate.address, candidate.port), endpoint);
  }

  const bool merged = uses_cluster && uses_local && (preference != Preference::kNone || local_draining_used);
  for (auto& [text, endpoint] : chosen) {
    endpoint.reachable = merged         ? endpoint.for_cluster || endpoint.for_local
                         : uses_cluster ? endpoint.for_cluster
                                        : endpoint.for_local;
  }
  std::ranges::sort(chosen, {}, &std::pair<std::string, rules::Endpoint>::first);
  view.endpoints.clear();
  view.endpoints.reserve(chosen.size());
  for (const auto& [text, endpoint] : chosen) view.endpoints.push_back(endpoint);
}

}  // namespace kubenatd::agent::state
