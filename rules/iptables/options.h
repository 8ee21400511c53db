#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "rules/address.h"

namespace kubenatd::rules::iptables {

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

/// Shape of nat KUBE-SERVICES.
enum class DispatchForm : std::uint8_t { kLinear, kTree, kAuto };

/// Everything besides the service ports that decides what the rules of one family are.
struct CompileOptions {
  Family family = Family::kIpv4;
  std::uint32_t masquerade_mark = 0x4000;  ///< 1 << masqueradeBit
  bool masquerade_all = false;
  std::optional<LocalDetector> local_detector;              ///< none: no pod is told apart
  bool localhost_node_ports = false;                        ///< IPv4 only: NodePorts answer on 127.0.0.0/8
  std::optional<std::vector<Address>> node_port_addresses;  ///< none: every local address
  bool drop_invalid = true;                                 ///< false when conntrack is be-liberal
  bool count_invalid = true;                                ///< nfacct counter ct_state_invalid_dropped_pkts exists
  bool count_localhost = true;                              ///< nfacct counter localhost_nps_accepted_pkts exists
  bool endpoint_comments = true;                            ///< false past 1000 endpoints (large-cluster mode)
  std::optional<Address> node_address;                      ///< this node's IP of the family, for source ranges
  DispatchForm form = DispatchForm::kAuto;
  std::size_t tree_threshold = 1000;  ///< kAuto: service addresses past which a tree is used

  bool operator==(const CompileOptions&) const = default;
};

inline constexpr const char* kNfacctInvalid = "ct_state_invalid_dropped_pkts";
inline constexpr const char* kNfacctLocalhost = "localhost_nps_accepted_pkts";

}  // namespace kubenatd::rules::iptables
