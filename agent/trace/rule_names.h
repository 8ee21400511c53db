#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "rules/walk/ruleset.h"

namespace kubenatd::agent::trace {

/// Names what traced packets met, by handle, from the rules that were read beside the trace. One set of rules from
/// before and, where that does not have a handle, one from after: rules change meanwhile.
///
/// Threading: one thread. Failure: what is not found is none; handles are never used twice in a table. Cost: a look-up
/// is linear in the chain; in the later rules a chain may be read for it.
class RuleNames {
 public:
  using Rules = std::shared_ptr<const rules::walk::Ruleset>;
  /// None: from before there are none.
  explicit RuleNames(Rules before = nullptr) : before_(std::move(before)) {}
  void add_later(rules::walk::Ruleset rules) {
    after_ = std::make_shared<const rules::walk::Ruleset>(std::move(rules));
  }

  /// `family` is NFPROTO_*.
  [[nodiscard]] const rules::walk::WalkRule* rule(std::uint8_t family, std::string_view table, std::string_view chain,
                                                  std::uint64_t handle) const;
  /// Where a base chain starts.
  [[nodiscard]] const rules::walk::Base* base(std::uint8_t family, std::string_view table,
                                              std::string_view chain) const;
  [[nodiscard]] const rules::walk::Ruleset* before() const { return before_.get(); }

 private:
  Rules before_, after_;
};

/// "ip", "inet", ... of NFPROTO_*; a number that is not known in digits.
[[nodiscard]] std::string family_name(std::uint8_t family);

/// The rule refuses what fits (REJECT, reject): the trace calls that a drop.
[[nodiscard]] bool refuses(const rules::walk::WalkRule& rule);

/// A chain of the family's packets translates addresses. Then connections are tracked.
[[nodiscard]] bool translates(const rules::walk::Ruleset& rules, rules::Family family);

}  // namespace kubenatd::agent::trace
