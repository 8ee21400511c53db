#pragma once

#include <cstddef>
#include <string_view>

#include "rules/rule.h"

/// Rules into nf_tables expressions, byte for byte as iptables-nft 1.8.9 does it.
///
/// Pure. A rule becomes: -i, -o, -p, -s, -d in this order whatever order they were given in, then the matches in their
/// order, a counter, and the verdict or target. Native expressions where iptables has them, else xt matches. Cost:
/// about 0.2 us and no allocation a rule.
namespace kubenatd::netlink::iptables {

/// Why the rule cannot be written, empty when it can: opaque, of another family, or past a limit of the kernel.
[[nodiscard]] std::string_view refusal_of(const rules::Rule& rule, rules::Family family);

/// An upper bound of what encode_rule writes for a rule that is not refused.
[[nodiscard]] std::size_t encoded_bound(const rules::Rule& rule);

/// Writes NFTA_RULE_EXPRESSIONS and, where the kernel wants it, NFTA_RULE_COMPAT; gives the end.
[[nodiscard]] char* encode_rule(char* at, const rules::Rule& rule, rules::Family family);

}  // namespace kubenatd::netlink::iptables
