#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "rules/address.h"
#include "rules/chain_name.h"

namespace kubenatd::rules::iptables {

/// A chain of the tree that nat KUBE-SERVICES becomes when it is long: prefix jumps to other chains of the tree, and
/// exact rules of addresses.
///
/// The tree depends on nothing but the set of addresses, so a restart arranges it in the same way. Chains are named
/// KUBE-SVC-IP-…: inside the name space that kube-proxy cleans by itself (KUBE-SVC-), so that a kube-proxy started
/// later removes them together with the service chains they jump to.
struct TreeChain {
  ChainName name;  ///< KUBE-SERVICES for the root
  struct Branch {
    Prefix prefix;
    ChainName chain;
  };
  std::vector<Branch> branches;    ///< in ascending order of prefix
  std::vector<std::size_t> exact;  ///< positions of addresses whose rules stand in this chain, ascending
};

/// A packet passes at most 16 branches a level and 8 exact addresses in the last chain; levels are counted in
/// kMaxLevels because the kernel follows at most 16 jumps (NFT_JUMP_STACK_SIZE, linux/netfilter/nf_tables.h, 6.18).
inline constexpr std::size_t kLeafAddresses = 8;
inline constexpr std::size_t kInlineAddresses = 2;  ///< groups this small need no chain of their own
inline constexpr std::size_t kMaxLevels = 7;

/// Arranges addresses, which must be sorted, distinct and of one family. The root comes first, every other chain after
/// the chain that jumps to it. O(n).
[[nodiscard]] std::vector<TreeChain> arrange_tree(std::span<const Address> addresses);

/// "KUBE-SVC-IP-0A601000-20" for IPv4; a hash for IPv6, whose prefixes are too long for a name.
[[nodiscard]] ChainName tree_chain_name(const Prefix& prefix);

[[nodiscard]] bool is_tree_chain(std::string_view name);

}  // namespace kubenatd::rules::iptables
