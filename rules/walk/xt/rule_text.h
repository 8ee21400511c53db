#pragma once

#include <functional>
#include <string_view>

#include "rules/walk/ruleset.h"

namespace kubenatd::rules::walk::xt {

/// Reads one rule as iptables-save prints it, without its "-A CHAIN". `is_chain` tells chains from targets. Never
/// fails: parts that are not understood are statements that cannot be judged, so no rule is lost or taken for another
/// one. WalkRule::model is set when rules::Rule can express all of it.
[[nodiscard]] WalkRule read_rule(std::string_view text, Family family,
                                 const std::function<bool(std::string_view)>& is_chain);

}  // namespace kubenatd::rules::walk::xt
