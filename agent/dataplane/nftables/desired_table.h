#pragma once

#include <cstddef>
#include <limits>

#include "rules/nftables/desired.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::agent::dataplane::nftables {

/// Adds the table `kubenatd` as it is wanted, for a walk: its chains, and its sets with their elements. Rules are
/// encoded as they would be written and then read as those of a kernel, so that both say the same. Clients that are
/// remembered are known to nobody: their sets are `dynamic` and empty. Of a set with more than `at_once` elements, none
/// is there: Ruleset::look_up makes the one that it is asked for, and knows only this table. Pure. Cost: every element,
/// in a set on demand a hundred bytes each.
void add_desired_table(rules::walk::Ruleset& into, rules::Family family,
                       const rules::nftables::DesiredElements& desired,
                       const rules::nftables::DesiredElements::AsIf& as_if,
                       std::size_t at_once = std::numeric_limits<std::size_t>::max());

}  // namespace kubenatd::agent::dataplane::nftables
