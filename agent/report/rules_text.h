#pragma once

#include <string>

#include "rules/walk/ruleset.h"

/// What a kernel holds, for people. Pure. Cost: linear.
namespace kubenatd::agent::report {

/// A line for each chain that a hook starts at: where, in which order, how many rules, and whether the table is made
/// for Services. Rules of others are counted, not shown.
[[nodiscard]] std::string base_chains(const rules::walk::Ruleset& rules);

/// The rules made for Services and hostPorts, in tables of iptables with the jumps to them; of sets how many elements
/// they have, which `diff` compares one by one.
[[nodiscard]] std::string service_rules(const rules::walk::Ruleset& rules);

}  // namespace kubenatd::agent::report
