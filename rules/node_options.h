#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "rules/address.h"

namespace kubenatd::rules {

/// How a packet is recognised as coming from a pod of this cluster or node (KubeProxyConfiguration.detectLocalMode).
struct DetectByPrefix {  ///< ClusterCIDR, NodeCIDR
  Prefix prefix;
  bool operator==(const DetectByPrefix&) const = default;
};
struct DetectByInterface {  ///< BridgeInterface; InterfaceNamePrefix when is_prefix
  std::string name;
  bool is_prefix = false;
  bool operator==(const DetectByInterface&) const = default;
};
using LocalDetector = std::variant<DetectByPrefix, DetectByInterface>;

/// What the compilers of both modes need to know of the node in one family. Each mode's options hold one.
struct NodeOptions {
  Family family = Family::kIpv4;
  std::uint32_t masquerade_mark = 0x4000;  ///< 1 << masqueradeBit
  bool masquerade_all = false;
  std::optional<LocalDetector> local_detector;              ///< none: no pod is told apart
  bool localhost_node_ports = false;                        ///< IPv4 only: NodePorts answer on 127.0.0.0/8
  std::optional<std::vector<Address>> node_port_addresses;  ///< none: every local address
  std::optional<Address> node_address;                      ///< this node's IP of the family, for source ranges

  bool operator==(const NodeOptions&) const = default;
};

}  // namespace kubenatd::rules
