#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rules/address.h"
#include "rules/rule.h"

namespace kubenatd::rules {

/// One endpoint of a service port, and what this node may use it for.
///
/// The flags are the outcome of endpoint choice (policies, topology, terminating fallback); the compilers
/// only read them. kube-proxy-1.36 names: clusterEPs, localEPs, allReachableEPs.
struct Endpoint {
  Address address;
  std::uint16_t port = 0;
  bool is_local : 1 = false;     ///< runs on this node
  bool is_ready : 1 = false;     ///< ready condition
  bool is_serving : 1 = false;   ///< serving condition: connections to it may go on
  bool for_cluster : 1 = false;  ///< chosen for traffic of policy Cluster
  bool for_local : 1 = false;    ///< chosen for traffic of policy Local
  bool reachable : 1 = false;    ///< some traffic may go to it: it gets its own chain

  bool operator==(const Endpoint&) const = default;
};

/// What one port of one Service looks like in one family on this node: the only input of the rule compilers.
/// A plain value; equal views give equal rules.
struct ServicePortView {
  std::string name;  ///< "namespace/name" or "namespace/name:port", the service port name string
  Protocol protocol = Protocol::kTcp;
  Address cluster_ip;  ///< unspecified: none; then only the family counts, and internal_policy_local is false
  std::uint16_t port = 0;
  std::uint16_t node_port = 0;               ///< 0: none
  std::uint16_t health_check_node_port = 0;  ///< 0: none
  bool internal_policy_local = false;
  bool external_policy_local = false;
  bool has_endpoints = false;                     ///< any usable endpoint anywhere, whether or not for this node
  std::optional<std::uint32_t> affinity_seconds;  ///< ClientIP affinity when set
  std::vector<Address> external_ips;
  std::vector<Address> load_balancer_ips;
  std::vector<Prefix> source_ranges;
  std::vector<Endpoint> endpoints;  ///< sorted by endpoint string, byte-wise; no duplicates

  bool operator==(const ServicePortView&) const = default;
};

[[nodiscard]] inline bool has_cluster_ip(const ServicePortView& view) {
  return !view.cluster_ip.is_unspecified();
}

/// True when something from outside the cluster can address the port: then both kinds of endpoints matter.
[[nodiscard]] inline bool externally_accessible(const ServicePortView& view) {
  return view.node_port != 0 || !view.load_balancer_ips.empty() || !view.external_ips.empty();
}

}  // namespace kubenatd::rules
