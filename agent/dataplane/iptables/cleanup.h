#pragma once

#include <string>
#include <vector>

#include "netlink/core/nf_tables.h"

namespace kubenatd::agent::dataplane::iptables {

struct CleanupReport {
  std::size_t chains = 0;         ///< removed
  std::size_t jumps = 0;          ///< removed from builtin chains
  std::vector<std::string> left;  ///< chains that rules of others jump to: emptied, not removed
};

/// Removes every chain and jump of one family that kubenatd, or kube-proxy in iptables mode, has made, in one
/// transaction. Everything else stays, also in the same chains. KUBE-FIREWALL stays where kubelet uses it, too (its
/// canary chain in mangle tells); tables and builtin chains stay, as nobody can tell who made them.
[[nodiscard]] rules::Result<CleanupReport> remove_all(netlink::NfTables& kernel, rules::Family family);

/// Removes the table of nftables mode in one family; true when there was one.
[[nodiscard]] rules::Result<bool> remove_nftables_table(netlink::NfTables& kernel, rules::Family family);

}  // namespace kubenatd::agent::dataplane::iptables
