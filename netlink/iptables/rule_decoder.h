#pragma once

#include <cstdint>
#include <string_view>

#include "rules/rule.h"

/// nf_tables expressions back into rules: the inverse of rule_encoder.h, wider.
///
/// Pure. Understands what iptables-nft 1.8.9 and other versions write for rules of the model. Anything else, whatever
/// its bytes, gives an opaque rule that names the expressions: a rule is never taken for one of ours unless every
/// expression of it has been understood. Cost: below 1 us and about three allocations a rule.
namespace kubenatd::netlink::iptables {

struct RuleCounters {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};

/// Decodes the payload of NFTA_RULE_EXPRESSIONS. `rule` is overwritten; its memory is used again.
void decode_rule(std::string_view expressions, rules::Family family, rules::Rule& rule, RuleCounters& counters);

}  // namespace kubenatd::netlink::iptables
