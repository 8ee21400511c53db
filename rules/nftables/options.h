#pragma once

#include <cstdint>
#include <vector>

#include "rules/node_options.h"

namespace kubenatd::rules::nftables {

/// Which established connections to Services enter the flowtable.
enum class FastPath : std::uint8_t {
  kOff,        ///< none, and there is no flowtable
  kTcp,        ///< those of TCP
  kTcpAndUdp,  ///< those of UDP, too, whose entries the kernel then lets be deleted (Linux 6.4)
};

/// Everything besides the service ports that decides what nftables mode is in one family.
struct RulesetOptions {
  NodeOptions node;
  std::vector<Prefix> service_cidrs;  ///< of the family: addresses in them that no Service has are dropped
  bool count_connections = false;     ///< the maps of endpoints count (Linux 5.7)
  FastPath fast_path = FastPath::kOff;

  bool operator==(const RulesetOptions&) const = default;
};

}  // namespace kubenatd::rules::nftables
