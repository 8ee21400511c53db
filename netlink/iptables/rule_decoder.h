#pragma once

#include <cstdint>
#include <string_view>

#include "rules/rule.h"

/// nf_tables expressions back into rules: the inverse of rule_encoder.h, for more forms than that writes.
///
/// Pure. It understands what iptables-nft 1.8.9 and other versions write for rules of the model. Anything else,
/// whatever its bytes, gives an opaque rule that names the expressions: a rule is taken for one of ours only when every
/// expression of it was understood. Cost: less than 1 us and about three allocations for each rule.
namespace kubenatd::netlink::iptables {

struct RuleCounters {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};

/// Decodes the payload of NFTA_RULE_EXPRESSIONS. `rule` is overwritten; its memory is used again.
void decode_rule(std::string_view expressions, rules::Family family, rules::Rule& rule, RuleCounters& counters);

}  // namespace kubenatd::netlink::iptables
