#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/iptables/rule_encoder.h"
#include "rules/rule.h"

/// Expressions made by libnftnl, which shares no code with what is tested.
namespace kubenatd::test {

/// An expression with numbers and bytes in its attributes (NFTNL_EXPR_*).
struct Expression {
  struct Number {
    std::uint16_t attribute;
    std::uint32_t value;
  };
  struct Bytes {
    std::uint16_t attribute;
    std::string value;
  };
  std::string name;
  std::vector<Number> numbers = {};
  std::vector<Bytes> bytes = {};
};

/// Payload of NFTA_RULE_EXPRESSIONS for the list.
[[nodiscard]] std::string expressions(const std::vector<Expression>& list);

/// What is encoded for the rule: payload of NFTA_RULE_EXPRESSIONS.
[[nodiscard]] std::string encoded(const rules::Rule& rule, rules::Family family,
                                  netlink::iptables::RuleForm form = netlink::iptables::RuleForm::kPortable);

[[nodiscard]] rules::Rule decoded(std::string_view expressions, rules::Family family = rules::Family::kIpv4);

/// The bytes of a value in host order.
template <class Value>
[[nodiscard]] std::string bytes_of(const Value& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

}  // namespace kubenatd::test
