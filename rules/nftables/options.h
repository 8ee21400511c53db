#pragma once

#include <vector>

#include "rules/node_options.h"

namespace kubenatd::rules::nftables {

/// Everything besides the service ports that decides what nftables mode is in one family.
struct RulesetOptions {
  NodeOptions node;
  std::vector<Prefix> service_cidrs;  ///< of the family: addresses in them that no Service has are dropped
  bool count_connections = false;     ///< the maps of endpoints count (Linux 5.7)

  bool operator==(const RulesetOptions&) const = default;
};

}  // namespace kubenatd::rules::nftables
