#pragma once

#include <functional>
#include <string_view>

#include "rules/former_walk/ruleset.h"

namespace kubenatd::rules::former_walk {

/// Reads one rule as iptables-save prints it, without its "-A CHAIN". `is_chain` tells chains from targets. Never
/// fails: parts that are not understood are kept as text.
[[nodiscard]] WalkRule read_rule(std::string_view text, Family family,
                                 const std::function<bool(std::string_view)>& is_chain);

}  // namespace kubenatd::rules::former_walk
