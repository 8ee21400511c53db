#pragma once

#include <optional>
#include <string>
#include <utility>

#include "rules/walk/nft/expression_print.h"

namespace kubenatd::rules::walk::nft {

/// Conditions in nft's words, with its short forms.
///
/// Threading: for one rule, one thread. Failure: none. Cost: that of the expressions, times the names of fields.
class ConditionPrinter {
 public:
  /// Both must outlive it.
  ConditionPrinter(ExpressionPrinter& expressions, const ToldProtocols& told)
      : expressions_(expressions), told_(told) {}

  [[nodiscard]] std::string text(const Condition& condition);

 private:
  /// Forms in which the left side is not written as it is: prefixes, fields of a few bits, tests of bits.
  [[nodiscard]] std::optional<std::string> short_form(const Condition& condition, const Bytes& is_value);
  /// nft makes one load of fields that stand one behind the other ("ip saddr A ip daddr B").
  [[nodiscard]] std::optional<std::string> several_fields(const Payload& payload, const Bytes& value) const;

  ExpressionPrinter& expressions_;
  const ToldProtocols& told_;
};

}  // namespace kubenatd::rules::walk::nft
