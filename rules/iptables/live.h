#pragma once

#include <cstdint>
#include <set>
#include <string_view>
#include <vector>

#include "rules/chain_name.h"
#include "rules/digest.h"
#include "rules/sequence_diff.h"

namespace kubenatd::rules::iptables {

/// What is there of our chains in one family, as far as a comparison needs it.
class LiveChains {
 public:
  virtual ~LiveChains() = default;
  [[nodiscard]] virtual bool has_table(Table table) const = 0;
  [[nodiscard]] virtual bool has_base(Table table, std::string_view chain) const = 0;
  /// Our jumps in a builtin chain, in order; empty when the chain is not there.
  [[nodiscard]] virtual const std::vector<LiveRuleRef>& jumps(Table table, std::string_view chain) const = 0;
  [[nodiscard]] virtual bool has(const ChainId& chain) const = 0;
  /// Digest of the whole chain; that of no rules when it is not there. Only for chains written as a whole.
  [[nodiscard]] virtual Digest digest(const ChainId& chain) const = 0;
  /// Rules of a chain that is changed rule by rule.
  [[nodiscard]] virtual const std::vector<LiveRuleRef>& rules_in(const ChainId& chain) const = 0;
};

/// What is there once a plan has been carried out, besides what was there before.
struct AfterPlan {
  struct Content {
    ChainId id;
    Digest digest;  ///< of a chain written as a whole
    bool by_rule = false;
    std::vector<LiveRuleRef> rules;  ///< by rule; handle 0: that of the next rule added with echo
    bool unknown_handles = false;    ///< too many were added to ask for each
  };
  std::set<Table> tables;
  std::vector<Content> contents;
  std::vector<ChainId> removed;
};

}  // namespace kubenatd::rules::iptables
