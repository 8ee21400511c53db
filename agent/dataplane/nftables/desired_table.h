#pragma once

#include "rules/nftables/desired.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::agent::dataplane::nftables {

/// Adds the table `kubenatd` as it is wanted, for a walk: its chains, and its sets with their elements. Rules are
/// encoded as they would be written and then read as those of a kernel, so that both say the same. Clients that are
/// remembered are known to nobody: their sets are `dynamic` and empty. Pure. Cost: every element is made.
void add_desired_table(rules::walk::Ruleset& into, rules::Family family,
                       const rules::nftables::DesiredElements& desired,
                       const rules::nftables::DesiredElements::AsIf& as_if);

}  // namespace kubenatd::agent::dataplane::nftables
