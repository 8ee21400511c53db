#pragma once

#include "agent/dataplane/dataplane.h"
#include "netlink/core/nf_tables.h"

namespace kubenatd::agent::dataplane::iptables {

/// Removes every chain and jump of one family that kubenatd, or kube-proxy in iptables mode, has made, in one
/// transaction. Everything else stays, also in the same chains. KUBE-FIREWALL stays where kubelet uses it, too (its
/// canary chain in mangle tells); tables and builtin chains stay, as nobody can tell who made them.
[[nodiscard]] rules::Result<CleanupReport> remove_all(netlink::NfTables& kernel, rules::Family family);

}  // namespace kubenatd::agent::dataplane::iptables
