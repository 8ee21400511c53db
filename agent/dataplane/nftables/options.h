#pragma once

#include "agent/dataplane/dataplane.h"
#include "rules/nftables/options.h"

namespace kubenatd::agent::dataplane::nftables {

/// The options of one family's table. Cluster IP ranges of the configuration come beside those of the cluster's own
/// objects. Pure.
[[nodiscard]] rules::nftables::RulesetOptions ruleset_options(const NodeFacts& facts, rules::Family family);

}  // namespace kubenatd::agent::dataplane::nftables
