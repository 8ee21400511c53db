#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/config.h"
#include "agent/dataplane/dataplane.h"
#include "netlink/core/nf_tables.h"

/// Rules for Services that another program made, or kubenatd in its other mode. They go on translating for Services
/// that are gone, so a node has room for one writer only.
///
/// Threading: as of NfTables. Failure: values. Cost: to look is a question for each table and a list of the chains in
/// iptables' nat and filter; rules are read only where chains of ours are found.
namespace kubenatd::agent::dataplane {

/// The table of kube-proxy in nftables mode (pkg/proxy/nftables, v1.36).
inline constexpr std::string_view kKubeProxyTable = "kube-proxy";

enum class LeftBehind : std::uint8_t {
  kKubeProxyTable,  ///< kube-proxy in nftables mode
  kIptablesChains,  ///< kube-proxy or kubenatd in iptables mode
  kKubenatdTable,   ///< kubenatd in nftables mode
};

/// All that does not belong to kubenatd in this mode.
[[nodiscard]] std::vector<LeftBehind> left_behind_besides(config::Config::Mode mode);

/// "table kube-proxy of nft", "chains KUBE-... of iptables".
[[nodiscard]] std::string_view name_of(LeftBehind what);
/// Who makes it: "kube-proxy in nftables mode".
[[nodiscard]] std::string_view maker_of(LeftBehind what);
/// The event tells of a change in it.
[[nodiscard]] bool concerns(LeftBehind what, const netlink::TableEvent& event);

/// Whether it stands there. Chains without any rule do not count, nor do KUBE-MARK-MASQ and KUBE-POSTROUTING, which
/// kubelet made, too, until Kubernetes 1.27.
[[nodiscard]] rules::Result<bool> stands(netlink::NfTables& kernel, rules::Family family, LeftBehind what);
/// Netlink port of another program that owns the table; none: nobody does, or it is no table of its own.
[[nodiscard]] rules::Result<std::optional<std::uint32_t>> owner_of(netlink::NfTables& kernel, rules::Family family,
                                                                   LeftBehind what);
/// Removes it, in one transaction. What is not there is no error.
[[nodiscard]] rules::Result<CleanupReport> remove(netlink::NfTables& kernel, rules::Family family, LeftBehind what);

/// All that stands there and does not belong to kubenatd in this mode.
[[nodiscard]] rules::Result<std::vector<LeftBehind>> find_left_behind(netlink::NfTables& kernel, rules::Family family,
                                                                      config::Config::Mode mode);

/// What kube-proxy in ipvs mode made and kubenatd never touches: "interface kube-ipvs0", "services of IPVS", "chain nat
/// KUBE-LOAD-BALANCER".
[[nodiscard]] rules::Result<std::vector<std::string>> find_ipvs(netlink::NfTables& kernel, rules::Family family);

}  // namespace kubenatd::agent::dataplane
