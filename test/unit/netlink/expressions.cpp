#include "test/unit/netlink/expressions.h"

#include <cstdio>  // FILE, for the headers of libnftnl

#include <libmnl/libmnl.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

#include "netlink/iptables/rule_decoder.h"
#include "netlink/iptables/rule_encoder.h"

namespace kubenatd::test {
namespace {

int find_expressions(const nlattr* attribute, void* data) {
  if (mnl_attr_get_type(attribute) == NFTA_RULE_EXPRESSIONS)
    static_cast<std::string*>(data)->assign(static_cast<const char*>(mnl_attr_get_payload(attribute)),
                                            mnl_attr_get_payload_len(attribute));
  return MNL_CB_OK;
}

}  // namespace

std::string expressions(const std::vector<Expression>& list) {
  const std::unique_ptr<nftnl_rule, void (*)(nftnl_rule*)> rule(nftnl_rule_alloc(),
                                                                [](nftnl_rule* freed) { nftnl_rule_free(freed); });
  for (const Expression& expression : list) {
    nftnl_expr* made = nftnl_expr_alloc(expression.name.c_str());
    if (made == nullptr) throw std::runtime_error("no expression " + expression.name);
    for (const auto& number : expression.numbers) nftnl_expr_set_u32(made, number.attribute, number.value);
    for (const auto& bytes : expression.bytes) {
      // libnftnl takes the memory of these two over.
      const bool takes = (expression.name == "match" && bytes.attribute == NFTNL_EXPR_MT_INFO) ||
                         (expression.name == "target" && bytes.attribute == NFTNL_EXPR_TG_INFO);
      const void* data = bytes.value.data();
      if (takes) {
        auto* copy = static_cast<char*>(std::malloc(bytes.value.size()));
        std::ranges::copy(bytes.value, copy);
        data = copy;
      }
      nftnl_expr_set(made, bytes.attribute, data, static_cast<std::uint32_t>(bytes.value.size()));
    }
    nftnl_rule_add_expr(rule.get(), made);
  }
  std::vector<char> buffer(65536);
  nlmsghdr* message = nftnl_nlmsg_build_hdr(buffer.data(), NFT_MSG_NEWRULE, AF_INET, 0, 0);
  nftnl_rule_nlmsg_build_payload(message, rule.get());
  std::string result;
  mnl_attr_parse(message, sizeof(nfgenmsg), find_expressions, &result);
  return result;
}

std::string encoded(const rules::Rule& rule, rules::Family family, netlink::iptables::RuleForm form) {
  if (!netlink::iptables::refusal_of(rule, family).empty()) throw std::runtime_error("the rule is refused");
  std::string bytes(netlink::iptables::encoded_bound(rule), '\xee');
  const char* end = netlink::iptables::encode_rule(bytes.data(), rule, family, form);
  const auto size = static_cast<std::size_t>(end - bytes.data());
  if (size > bytes.size()) throw std::runtime_error("the bound is too small");
  nlattr list;
  std::memcpy(&list, bytes.data(), sizeof list);
  if ((list.nla_type & NLA_TYPE_MASK) != NFTA_RULE_EXPRESSIONS || list.nla_len > size)
    throw std::runtime_error("no list of expressions");
  return bytes.substr(sizeof list, list.nla_len - sizeof list);
}

rules::Rule decoded(std::string_view expressions, rules::Family family) {
  rules::Rule rule;
  netlink::iptables::RuleCounters counters;
  netlink::iptables::decode_rule(expressions, family, rule, counters);
  return rule;
}

}  // namespace kubenatd::test
