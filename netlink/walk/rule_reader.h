#pragma once

#include <string_view>

#include "rules/walk/ruleset.h"

namespace kubenatd::netlink::walk {

/// Reads the payload of NFTA_RULE_EXPRESSIONS into statements: nf_tables' own expressions, and the matches and targets
/// of x_tables among them. Expressions that are not understood become statements that cannot be judged, named by the
/// expression, and registers that such a one may have written are not known from there on; so no rule is lost or taken
/// for another one.
///
/// Text, comment and counters are set; `model`, when the table is one of iptables and rules::Rule can express the rule.
/// `table` is for the text (names of sets and their types). Sets that are anonymous are named as the kernel does
/// ("__set0").
/// Pure. Failure: none, whatever the bytes. Cost: linear.
[[nodiscard]] rules::walk::WalkRule read_rule(std::string_view expressions, std::string_view user_data,
                                              const rules::walk::WalkTable& table);

}  // namespace kubenatd::netlink::walk
