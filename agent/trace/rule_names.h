#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "rules/walk/ruleset.h"

namespace kubenatd::agent::trace {

/// Names what traced packets met, by handle, from the rules that were read beside the trace. One set of rules from
/// before and, where that does not have a handle, one from after: rules change meanwhile.
///
/// Threading: one thread. Failure: what is not found is none; handles are never used twice in a table. Cost: a look-up
/// is linear in the chain.
class RuleNames {
 public:
  RuleNames() = default;
  explicit RuleNames(rules::walk::Ruleset rules) : before_(std::move(rules)) {}
  void add_later(rules::walk::Ruleset rules) { after_ = std::move(rules); }

  /// `family` is NFPROTO_*.
  [[nodiscard]] const rules::walk::WalkRule* rule(std::uint8_t family, std::string_view table, std::string_view chain,
                                                  std::uint64_t handle) const;
  /// Where a base chain starts.
  [[nodiscard]] const rules::walk::Base* base(std::uint8_t family, std::string_view table,
                                              std::string_view chain) const;
  [[nodiscard]] const rules::walk::Ruleset* before() const { return before_ ? &*before_ : nullptr; }

 private:
  std::optional<rules::walk::Ruleset> before_, after_;
};

/// "ip", "inet", ... of NFPROTO_*; a number that is not known in digits.
[[nodiscard]] std::string family_name(std::uint8_t family);

/// The rule refuses what fits (REJECT, reject): the trace calls that a drop.
[[nodiscard]] bool refuses(const rules::walk::WalkRule& rule);

/// A chain of the family's packets translates addresses. Then connections are tracked.
[[nodiscard]] bool translates(const rules::walk::Ruleset& rules, rules::Family family);

}  // namespace kubenatd::agent::trace
