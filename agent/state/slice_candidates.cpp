#include "agent/state/slice_candidates.h"

#include "agent/objects/special_addresses.h"

namespace kubenatd::agent::state {

SlicePorts::SlicePorts(const std::vector<std::shared_ptr<const objects::EndpointSlice>>& slices, rules::Family family) {
  for (const auto& slice : slices)
    if (slice->family == family)
      for (const objects::SlicePort& port : slice->ports)
        if (port.port != 0) places_[{port.name, port.protocol}].push_back({slice.get(), port.port});
}

const std::vector<SlicePorts::Place>& SlicePorts::of(const objects::ServicePort& port) const {
  static const std::vector<Place> kNone;
  const auto found = places_.find({port.name, port.protocol});
  return found == places_.end() ? kNone : found->second;
}

Candidates candidates_of(const std::vector<SlicePorts::Place>& places, const std::string& node_name, std::size_t most) {
  Candidates all;
  std::map<std::pair<rules::Address, std::uint16_t>, std::size_t> known;
  for (const auto& [slice, port] : places) {
    for (const objects::SliceEndpoint& endpoint : slice->endpoints) {
      if (!objects::can_be_pods(endpoint.address)) {
        ++all.impossible;
        continue;
      }
      const Candidate candidate{
          .address = endpoint.address,
          .port = port,
          .is_local = !endpoint.place->node_name.empty() && endpoint.place->node_name == node_name,
          .ready = endpoint.ready,
          .serving = endpoint.serving,
          .terminating = endpoint.terminating,
          .zone_hints = &endpoint.place->zone_hints,
          .node_hints = &endpoint.place->node_hints};
      // Those of this node are not passed over for others.
      if (all.found.size() >= most && (!candidate.is_local || all.found.size() >= 2 * most)) {
        ++all.too_many;
        continue;
      }
      const auto [place, is_new] = known.try_emplace({candidate.address, candidate.port}, all.found.size());
      if (is_new) {
        all.found.push_back(candidate);
      } else if (!candidate.terminating) {
        all.found[place->second] = candidate;
      }
    }
  }
  return all;
}

}  // namespace kubenatd::agent::state
