#include "agent/dataplane/left_behind.h"

#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <utility>

#include "agent/dataplane/iptables/cleanup.h"
#include "agent/dataplane/nftables/cleanup.h"
#include "agent/dataplane/table_owner.h"
#include "netlink/host/ipvs.h"
#include "netlink/iptables/reader.h"
#include "rules/iptables/compiler.h"
#include "rules/nftables/ruleset.h"

namespace kubenatd::agent::dataplane {
namespace {

using config::Config;
using netlink::TableEvent;
using rules::Family;
using rules::Table;

constexpr std::array kTables{Table::kFilter, Table::kNat};

/// Chains that show who was here: kubelet makes the others, too.
bool is_telling(Table table, std::string_view chain) {
  return rules::iptables::is_own_chain(table, chain) && chain != "KUBE-MARK-MASQ" && chain != "KUBE-POSTROUTING";
}

rules::Result<std::vector<std::string>> chains_of(netlink::NfTables& kernel, Family family, Table table,
                                                  bool (*is_wanted)(Table, std::string_view)) {
  std::vector<std::string> found;
  auto listed = netlink::iptables::dump_chains(
      kernel, family, table,
      [&](const netlink::iptables::LiveChain& chain) {
        if (is_wanted(table, chain.name)) found.emplace_back(chain.name);
      },
      [&] { found.clear(); }, netlink::Interrupted::kAccept);
  if (!listed) return std::unexpected(listed.error());
  return found;
}

rules::Result<bool> has_chains_with_rules(netlink::NfTables& kernel, Family family) {
  for (const Table table : kTables) {
    const auto chains = chains_of(kernel, family, table, is_telling);
    if (!chains) return std::unexpected(chains.error());
    for (const std::string& chain : *chains) {
      bool any = false;
      auto read = netlink::iptables::dump_rules(
          kernel, family, table, chain, [&](netlink::iptables::LiveRule&) { any = true; }, [&] { any = false; },
          netlink::Interrupted::kAccept);
      if (!read) return std::unexpected(read.error());
      if (any) return true;
    }
  }
  return false;
}

}  // namespace

std::vector<LeftBehind> left_behind_besides(Config::Mode mode) {
  return {LeftBehind::kKubeProxyTable,
          mode == Config::Mode::kNftables ? LeftBehind::kIptablesChains : LeftBehind::kKubenatdTable};
}

std::string_view name_of(LeftBehind what) {
  switch (what) {
    case LeftBehind::kKubeProxyTable: return "table kube-proxy of nft";
    case LeftBehind::kIptablesChains: return "chains KUBE-... of iptables";
    case LeftBehind::kKubenatdTable: return "table kubenatd of nft";
  }
  return {};
}

std::string_view maker_of(LeftBehind what) {
  switch (what) {
    case LeftBehind::kKubeProxyTable: return "kube-proxy in nftables mode";
    case LeftBehind::kIptablesChains: return "kube-proxy or kubenatd in iptables mode";
    case LeftBehind::kKubenatdTable: return "kubenatd in nftables mode";
  }
  return {};
}

bool concerns(LeftBehind what, const TableEvent& event) {
  switch (what) {
    case LeftBehind::kKubeProxyTable: return event.table_name == kKubeProxyTable;
    case LeftBehind::kIptablesChains: return event.table && is_telling(*event.table, event.chain);
    case LeftBehind::kKubenatdTable: return event.table_name == rules::nftables::kTable;
  }
  return false;
}

rules::Result<bool> stands(netlink::NfTables& kernel, Family family, LeftBehind what) {
  switch (what) {
    case LeftBehind::kKubeProxyTable: return kernel.has_table(family, kKubeProxyTable);
    case LeftBehind::kIptablesChains: return has_chains_with_rules(kernel, family);
    case LeftBehind::kKubenatdTable: return kernel.has_table(family, std::string_view(rules::nftables::kTable));
  }
  return false;
}

rules::Result<std::optional<std::uint32_t>> owner_of(netlink::NfTables& kernel, Family family, LeftBehind what) {
  switch (what) {
    case LeftBehind::kKubeProxyTable: return foreign_owner(kernel, family, kKubeProxyTable);
    case LeftBehind::kIptablesChains: break;
    case LeftBehind::kKubenatdTable: return foreign_owner(kernel, family, rules::nftables::kTable);
  }
  return std::nullopt;
}

rules::Result<CleanupReport> remove(netlink::NfTables& kernel, Family family, LeftBehind what) {
  switch (what) {
    case LeftBehind::kKubeProxyTable: return nftables::remove_table(kernel, family, kKubeProxyTable);
    case LeftBehind::kIptablesChains: return iptables::remove_all(kernel, family);
    case LeftBehind::kKubenatdTable: return nftables::remove_table(kernel, family, rules::nftables::kTable);
  }
  return CleanupReport{};
}

rules::Result<std::vector<LeftBehind>> find_left_behind(netlink::NfTables& kernel, Family family, Config::Mode mode) {
  std::vector<LeftBehind> found;
  for (const LeftBehind what : left_behind_besides(mode)) {
    const auto there = stands(kernel, family, what);
    if (!there) return std::unexpected(there.error());
    if (*there) found.push_back(what);
  }
  return found;
}

rules::Result<std::vector<std::string>> find_ipvs(netlink::NfTables& kernel, Family family) {
  std::vector<std::string> found;
  // The interface that carries the addresses of all Services, of both families.
  if (::if_nametoindex("kube-ipvs0") != 0) found.emplace_back("interface kube-ipvs0");
  if (netlink::host::has_ipvs_services()) found.emplace_back("services of IPVS");
  for (const Table table : kTables) {
    const auto chains = chains_of(kernel, family, table, [](Table, std::string_view chain) {
      return chain.starts_with("KUBE-IPVS-") || chain == "KUBE-LOAD-BALANCER" || chain == "KUBE-NODE-PORT";
    });
    if (!chains) return std::unexpected(chains.error());
    for (const std::string& chain : *chains) found.push_back(fmt::format("chain {} {}", rules::name_of(table), chain));
  }
  return found;
}

}  // namespace kubenatd::agent::dataplane
