#pragma once

#include <cstdint>
#include <vector>

#include "rules/nftables/ruleset.h"

namespace kubenatd::rules::nftables {

/// The sets and maps of the ruleset, in the order in which they are made. Arguments as of compile_ruleset().
[[nodiscard]] std::vector<SetSpec> compile_sets(const RulesetOptions& options, const InUse& in_use);

}  // namespace kubenatd::rules::nftables
