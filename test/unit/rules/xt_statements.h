#pragma once

#include <catch2/catch.hpp>
#include <string>

#include "rules/walk/xt/matches.h"

/// What the tests of statements of x_tables take apart.
namespace kubenatd::rules::walk::xt::test {

inline const Address kFour = *Address::parse("10.1.2.3");
inline const Address kSix = *Address::parse("2001:db8::1");

inline Condition condition(const Statement& statement) {
  REQUIRE(std::holds_alternative<Condition>(statement));
  return std::get<Condition>(statement);
}

inline AnyOf any_of(const Statement& statement) {
  REQUIRE(std::holds_alternative<AnyOf>(statement));
  return std::get<AnyOf>(statement);
}

template <class What>
What what(const ExpressionPtr& expression) {
  REQUIRE(expression != nullptr);
  REQUIRE(std::holds_alternative<What>(expression->what));
  return std::get<What>(expression->what);
}

inline std::string hex(const Bytes& bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes.view()) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 15U];
  }
  return text;
}

/// "first-last first-last", in hexadecimal digits.
inline std::string ranges(const Condition& condition) {
  std::string text;
  for (const auto& [first, last] : condition.ranges) {
    if (!text.empty()) text += ' ';
    text += hex(first);
    if (last != first) text += "-" + hex(last);
  }
  return text;
}

inline constexpr auto kNetwork = Payload::Base::kNetwork;
inline constexpr auto kTransport = Payload::Base::kTransport;

}  // namespace kubenatd::rules::walk::xt::test
