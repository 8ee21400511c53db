#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "rules/rule.h"

/// Rules into nf_tables expressions, byte for byte as iptables-nft does it: 1.8.7, or 1.8.9 in its native form.
///
/// Pure. A rule becomes: -i, -o, -p, -s, -d in this order whatever order they were given in, then the matches in their
/// order, a counter, and the verdict or target. Cost: about 0.2 us and no allocation a rule.
namespace kubenatd::netlink::iptables {

/// How ports of tcp and udp and marks are compared. Everything else has one form alone.
enum class RuleForm : std::uint8_t {
  kPortable,  ///< by matches of x_tables, which iptables 1.8.4 to 1.8.13 reads
  kNative     ///< by expressions of nf_tables: faster for a packet; iptables 1.8.7 lists the rule without them
};

/// Why the rule cannot be written, empty when it can: opaque, of another family, or past a limit of the kernel.
[[nodiscard]] std::string_view refusal_of(const rules::Rule& rule, rules::Family family);

/// An upper bound of what encode_rule writes for a rule that is not refused.
[[nodiscard]] std::size_t encoded_bound(const rules::Rule& rule);

/// Writes NFTA_RULE_EXPRESSIONS and, where the kernel wants it, NFTA_RULE_COMPAT; gives the end.
[[nodiscard]] char* encode_rule(char* at, const rules::Rule& rule, rules::Family family,
                                RuleForm form = RuleForm::kPortable);

}  // namespace kubenatd::netlink::iptables
