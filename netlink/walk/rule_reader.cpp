#include "netlink/walk/rule_reader.h"

#include <linux/netfilter/nf_tables.h>

#include <string>
#include <utility>

#include "netlink/iptables/rule_decoder.h"
#include "netlink/nftables/codec.h"
#include "netlink/walk/expression_reader.h"
#include "netlink/walk/rule_text.h"
#include "rules/text.h"
#include "rules/walk/nft/rule_print.h"

namespace kubenatd::netlink::walk {

using namespace rules::walk;

namespace {

// Twice what the kernel takes (NFT_RULE_MAXEXPRS).
constexpr int kMostExpressions = 256;

}  // namespace

WalkRule read_rule(std::string_view expressions, std::string_view user_data, const WalkTable& table) {
  WalkRule rule;
  ExpressionReader reader(table, rule);
  AttributeReader list(expressions);
  int count = 0;
  for (Attribute element; count < kMostExpressions && list.next(element); ++count) reader.read(element.payload);
  if (!list.complete()) reader.give_up("the rest of the rule");
  reader.finish();

  if (rule.comment.empty()) rule.comment = nftables::nft_comment(user_data);
  const bool of_ip = table.family == TableFamily::kIp || table.family == TableFamily::kIp6;
  if (!of_ip || !is_iptables_table(table.name)) {
    rule.text = nft::to_text(rule.statements, table);
    return rule;
  }
  const rules::Family family = table.family == TableFamily::kIp ? rules::Family::kIpv4 : rules::Family::kIpv6;
  rules::Rule model;
  iptables::RuleCounters counters;
  iptables::decode_rule(expressions, family, model, counters);
  // iptables keeps nothing in user data; nft does.
  if (model.opaque.empty() && user_data.empty()) {
    rule.text = rules::to_text(model, family);
    rule.model = std::move(model);
  } else {
    rule.text = iptables_text(rule, table, reader.xt_texts());
  }
  return rule;
}

}  // namespace kubenatd::netlink::walk
