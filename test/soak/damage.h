#pragma once

#include <optional>
#include <string>
#include <vector>

#include "test/soak/dice.h"
#include "test/support/namespace.h"

namespace kubenatd::soak {

/// What another program does to kubenatd's rules.
struct Damage {
  std::string kind;
  std::vector<std::string> command;
  std::string input = {};
  bool takes_others = false;  ///< rules of others go, too
};

/// One at random, from what is there now; none when there is nothing to damage. Cost: lists of nft.
[[nodiscard]] std::optional<Damage> random_damage(const std::string& mode, const test::Namespace& node, Dice& dice);

/// Rules of others on the node, which nobody but a damage that takes them may change.
class ForeignRules {
 public:
  explicit ForeignRules(const test::Namespace& node);
  /// Puts back what a damage took.
  void put() const;
  /// What is not as it was put; empty: nothing.
  [[nodiscard]] std::string difference() const;

 private:
  const test::Namespace& node_;
  std::string chain_, table_;  ///< as they are listed
};

}  // namespace kubenatd::soak
