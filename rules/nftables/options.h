#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "rules/iptables/options.h"

namespace kubenatd::rules::nftables {

/// Everything besides the service ports that decides what nftables mode is in one family.
struct RulesetOptions {
  Family family = Family::kIpv4;
  std::uint32_t masquerade_mark = 0x4000;  ///< 1 << masqueradeBit
  bool masquerade_all = false;
  std::optional<iptables::LocalDetector> local_detector;    ///< none: no pod is told apart
  std::optional<std::vector<Address>> node_port_addresses;  ///< none: every local address but loopback ones
  std::optional<Address> node_address;                      ///< this node's IP of the family, for source ranges
  std::vector<Prefix> service_cidrs;  ///< of the family: addresses in them that no Service has are dropped

  bool operator==(const RulesetOptions&) const = default;
};

}  // namespace kubenatd::rules::nftables
