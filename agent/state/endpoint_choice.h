#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rules/service_port.h"

namespace kubenatd::agent::state {

/// One endpoint of a service port as the EndpointSlices tell it, before this node chooses.
struct Candidate {
  rules::Address address;
  std::uint16_t port = 0;
  bool is_local = false;
  bool ready = false;
  bool serving = false;
  bool terminating = false;
  /// Views into the EndpointSlice; not null. They must outlive the call of choose_endpoints.
  const std::vector<std::string>* zone_hints = nullptr;
  const std::vector<std::string>* node_hints = nullptr;
};

/// Where this node is, for topology hints.
struct Topology {
  std::string node_name;
  std::string zone;  ///< label topology.kubernetes.io/zone; may be empty
};

/// Decides which endpoints this node uses for which traffic, as kube-proxy v1.36 does (policies, hints, fallback to
/// terminating endpoints), and puts them into `view.endpoints` and `view.has_endpoints`, sorted by endpoint string.
/// Reads the policies and the external addresses of `view`. Candidates must not contain the same address and port
/// twice.
void choose_endpoints(rules::ServicePortView& view, const std::vector<Candidate>& candidates, const Topology& topology);

}  // namespace kubenatd::agent::state
