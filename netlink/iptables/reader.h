#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "netlink/core/nf_tables.h"
#include "rules/error.h"
#include "rules/rule.h"

/// Chains and rules of iptables mode as the kernel has them: the inverse of writer.h.
///
/// Threading, failure: as of NfTables. Cost: one dump, but one per chain for large tables; decoding as rule_decoder.h.
namespace kubenatd::netlink::iptables {

/// A chain as the kernel lists it. Views are valid only during the callback.
struct LiveChain {
  std::string_view name;
  bool is_base = false;      ///< has a hook
  bool policy_drop = false;  ///< of a base chain: packets without a verdict are dropped
  std::uint32_t use = 0;     ///< rules in it plus references to it (NFTA_CHAIN_USE)
};

/// A rule as the kernel lists it. Valid only during the callback.
struct LiveRule {
  std::string_view chain;
  std::uint64_t handle = 0;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  rules::Rule rule;  ///< may be moved from
};

using ChainVisitor = std::function<void(const LiveChain&)>;
using RuleVisitor = std::function<void(LiveRule&)>;

[[nodiscard]] rules::Status dump_chains(NfTables& kernel, rules::Family family, rules::Table table,
                                        const ChainVisitor& visit, const std::function<void()>& restart,
                                        Interrupted interrupted = Interrupted::kRepeat);

/// Rules of one chain, or of the whole table when `chain` is empty, chain by chain, in order. When the kernel was
/// interrupted by another writer, `restart` is called and everything is visited again from the start. A whole table
/// cannot be had with Interrupted::kAccept.
[[nodiscard]] rules::Status dump_rules(NfTables& kernel, rules::Family family, rules::Table table,
                                       std::string_view chain, const RuleVisitor& visit,
                                       const std::function<void()>& restart,
                                       Interrupted interrupted = Interrupted::kRepeat);

}  // namespace kubenatd::netlink::iptables
