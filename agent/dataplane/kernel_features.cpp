#include "agent/dataplane/kernel_features.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

namespace kubenatd::agent::dataplane {
namespace {

constexpr std::array<std::string_view, 2> both(std::string_view text) {
  return {text, text};
}

constexpr std::array<std::string_view, 2> kCore = {"CONFIG_NF_TABLES_IPV4", "CONFIG_NF_TABLES_IPV6"};
constexpr auto kNfTables = both("CONFIG_NF_TABLES");
constexpr auto kModule = both("nf_tables");

// Options, modules and first versions: net/netfilter/Kconfig and Makefile, net/ipv4/netfilter and net/ipv6/netfilter of
// Linux 6.12, and the history of each file.
constexpr KernelFeature kFeatures[] = {
    {"table", kCore, kModule, "3.13"},
    {"chain filter", kNfTables, kModule, "3.13"},
    {"chain nat", both("CONFIG_NFT_NAT"), both("nft_chain_nat"), "3.13"},
    {"set", kNfTables, kModule, "3.13"},
    {"set map", kNfTables, kModule, "3.13"},
    {"set timeout", kNfTables, kModule, "4.1"},
    {"set ranges", kNfTables, kModule, "5.6"},
    {"immediate", kNfTables, kModule, "3.13"},
    {"payload", kNfTables, kModule, "3.13"},
    {"meta", kNfTables, kModule, "3.13"},
    {"bitwise", kNfTables, kModule, "3.13"},
    {"cmp", kNfTables, kModule, "3.13"},
    {"lookup", kNfTables, kModule, "3.13"},
    {"dynset", kNfTables, kModule, "4.1"},
    {"counter", kNfTables, kModule, "3.13"},
    {"ct", both("CONFIG_NFT_CT"), both("nft_ct"), "3.13"},
    {"nat", both("CONFIG_NFT_NAT"), both("nft_nat"), "3.13"},
    {"masq", both("CONFIG_NFT_MASQ"), both("nft_masq"), "3.18"},
    {"reject", {"CONFIG_NFT_REJECT_IPV4", "CONFIG_NFT_REJECT_IPV6"}, {"nft_reject_ipv4", "nft_reject_ipv6"}, "3.14"},
    {"fib", {"CONFIG_NFT_FIB_IPV4", "CONFIG_NFT_FIB_IPV6"}, {"nft_fib_ipv4", "nft_fib_ipv6"}, "4.10"},
    {"numgen", both("CONFIG_NFT_NUMGEN"), both("nft_numgen"), "4.9"},
    {"hash", both("CONFIG_NFT_HASH"), both("nft_hash"), "4.9"},
    {"byteorder", kNfTables, kModule, "3.13"},
    {"flowtable", both("CONFIG_NF_FLOW_TABLE"), both("nf_flow_table"), "4.16", "the fast path"},
    {"flow_offload", both("CONFIG_NFT_FLOW_OFFLOAD"), both("nft_flow_offload"), "4.16", "the fast path"},
    {"match comment", both("CONFIG_NETFILTER_XT_MATCH_COMMENT"), both("xt_comment"), "3.13"},
    {"match tcp", both("CONFIG_NETFILTER_XTABLES"), both("xt_tcpudp"), "3.13"},
    {"match udp", both("CONFIG_NETFILTER_XTABLES"), both("xt_tcpudp"), "3.13"},
    {"match sctp", both("CONFIG_NETFILTER_XT_MATCH_SCTP"), both("xt_sctp"), "3.13", "ports of SCTP"},
    {"match mark", both("CONFIG_NETFILTER_XT_MARK"), both("xt_mark"), "3.13"},
    {"match conntrack", both("CONFIG_NETFILTER_XT_MATCH_CONNTRACK"), both("xt_conntrack"), "3.13"},
    {"match addrtype", both("CONFIG_NETFILTER_XT_MATCH_ADDRTYPE"), both("xt_addrtype"), "3.13"},
    {"match statistic", both("CONFIG_NETFILTER_XT_MATCH_STATISTIC"), both("xt_statistic"), "3.13"},
    {"match recent", both("CONFIG_NETFILTER_XT_MATCH_RECENT"), both("xt_recent"), "3.13",
     "Services with sessionAffinity ClientIP"},
    {"match nfacct", both("CONFIG_NETFILTER_XT_MATCH_NFACCT"), both("xt_nfacct"), "3.13", "two packet counters"},
    {"match multiport", both("CONFIG_NETFILTER_XT_MATCH_MULTIPORT"), both("xt_multiport"), "3.13", "hostPorts of Pods"},
    {"target MARK", both("CONFIG_NETFILTER_XT_MARK"), both("xt_mark"), "3.13"},
    {"target MASQUERADE", both("CONFIG_NETFILTER_XT_TARGET_MASQUERADE"), both("xt_MASQUERADE"), "3.13"},
    {"target DNAT", both("CONFIG_NETFILTER_XT_NAT"), both("xt_nat"), "4.18"},
    {"target REJECT",
     {"CONFIG_IP_NF_TARGET_REJECT", "CONFIG_IP6_NF_TARGET_REJECT"},
     {"ipt_REJECT", "ip6t_REJECT"},
     "3.13"},
};

std::string_view feature_of(const rules::Refusal& refusal) {
  using rules::Operation;
  switch (refusal.operation) {
    case Operation::kCreateTable: return "table";
    case Operation::kCreateSet: return "set ranges";
    case Operation::kAddRule: return refusal.expression;
    default: return {};
  }
}

/// Whether the kernel says so of what it has not got.
bool is_absence(const rules::Refusal& refusal) {
  switch (refusal.operation) {
    case rules::Operation::kCreateTable: return refusal.code == EOPNOTSUPP || refusal.code == EAFNOSUPPORT;
    case rules::Operation::kCreateSet: return refusal.code == EOPNOTSUPP;
    default: return refusal.code == EOPNOTSUPP || refusal.code == ENOENT;
  }
}

}  // namespace

std::span<const KernelFeature> kernel_features() {
  return kFeatures;
}

const KernelFeature* find_kernel_feature(std::string_view name) {
  const auto* found = std::ranges::find(kFeatures, name, &KernelFeature::name);
  return found == std::end(kFeatures) ? nullptr : found;
}

std::string missing_feature(const rules::Refusal& refusal) {
  if (!is_absence(refusal)) return {};
  const KernelFeature* feature = find_kernel_feature(feature_of(refusal));
  if (feature == nullptr) return {};
  const rules::Family family = refusal.object.family;
  if (feature->name == "table") return fmt::format("the kernel lacks {}", feature->option(family));
  if (feature->name == "set ranges")
    return fmt::format("the kernel lacks sets of concatenated ranges (Linux {} and later)", feature->since);
  // A set or chain that is not there gives the same errno.
  if (feature->is_core()) return {};
  return fmt::format("the kernel lacks {} (Linux {} and later)", feature->option(family), feature->since);
}

}  // namespace kubenatd::agent::dataplane
