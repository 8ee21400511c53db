#include "agent/dataplane/iptables/cleanup.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

#include "agent/dataplane/foreign_host_ports.h"
#include "agent/dataplane/iptables/live_tables.h"
#include "netlink/core/names.h"
#include "netlink/iptables/reader.h"
#include "netlink/iptables/writer.h"
#include "rules/hostport/compiler.h"
#include "rules/hostport/names.h"

namespace kubenatd::agent::dataplane::iptables {
namespace {

using rules::Table;

constexpr std::string_view kCanary = "KUBE-PROXY-CANARY";
constexpr std::string_view kKubeletCanary = "KUBE-KUBELET-CANARY";
constexpr std::string_view kFirewall = "KUBE-FIREWALL";
constexpr int kMaxAttempts = 16;

using Kept = std::set<std::pair<Table, std::string>>;

struct Found {
  struct Jump {
    Table table;
    std::string chain;
    std::uint64_t handle;
  };
  std::vector<std::pair<Table, std::string>> chains;
  std::vector<Jump> jumps;
};

/// The chains and rules of host ports that are ours, and the shared chains when nobody else uses them.
rules::Status find_host_ports(netlink::NfTables& kernel, rules::Family family, const Kept& kept, Found& found) {
  constexpr std::array kShared{rules::hostport::kDnatChain, rules::hostport::kMarkChain,
                               rules::hostport::kMasqueradeChain};
  ForeignHostPorts seen;
  std::vector<Found::Jump> entries;
  auto read = netlink::iptables::dump_rules(
      kernel, family, Table::kNat, {},
      [&](netlink::iptables::LiveRule& live) {
        seen.note(live.chain, live.rule);
        if (live.chain == rules::hostport::kDnatChain && rules::hostport::own_entry(live.rule))
          entries.push_back({Table::kNat, std::string(live.chain), live.handle});
      },
      [&] {
        seen.clear();
        entries.clear();
      });
  if (!read) return read;
  std::vector<std::string> containers, shared;
  auto listed = netlink::iptables::dump_chains(
      kernel, family, Table::kNat,
      [&](const netlink::iptables::LiveChain& chain) {
        if (rules::hostport::is_container_chain(Table::kNat, chain.name)) containers.emplace_back(chain.name);
        if (std::ranges::find(kShared, chain.name) != kShared.end()) shared.emplace_back(chain.name);
      },
      [&] {
        containers.clear();
        shared.clear();
      });
  if (!listed) return listed;
  const auto is_ours = [&](const std::string& chain) { return seen.own_chains().contains(chain); };
  const auto is_kept = [&](const std::string& chain) { return kept.contains({Table::kNat, chain}); };
  for (const std::string& chain : containers)
    if (is_ours(chain)) found.chains.emplace_back(Table::kNat, chain);
  if (seen.has_foreign_rules() || !std::ranges::all_of(containers, is_ours) || std::ranges::any_of(shared, is_kept)) {
    found.jumps.insert(found.jumps.end(), entries.begin(), entries.end());
    return {};
  }
  for (const std::string& chain : shared) found.chains.emplace_back(Table::kNat, chain);
  for (const auto& jump : rules::hostport::entry_jumps()) {
    const std::size_t before = found.jumps.size();
    read = netlink::iptables::dump_rules(
        kernel, family, Table::kNat, jump.chain,
        [&](netlink::iptables::LiveRule& live) {
          if (live.rule == jump.rule) found.jumps.push_back({Table::kNat, std::string(jump.chain), live.handle});
        },
        [&] { found.jumps.resize(before); });
    if (!read) return read;
  }
  return {};
}

/// The one rule that stands in KUBE-FIREWALL by our doing.
bool is_localnet_guard(const rules::Rule& rule) {
  return comment_of(rule) == "block incoming localnet connections";
}

rules::Result<Found> find_all(netlink::NfTables& kernel, rules::Family family, const Kept& kept) {
  Found found;
  auto kubelet = kernel.has_chain(family, Table::kMangle, kKubeletCanary);
  if (!kubelet) return std::unexpected(kubelet.error());
  bool keep_firewall = *kubelet;
  if (!keep_firewall) {
    auto read = netlink::iptables::dump_rules(
        kernel, family, Table::kFilter, kFirewall,
        [&](netlink::iptables::LiveRule& live) { keep_firewall = keep_firewall || !is_localnet_guard(live.rule); },
        [&] { keep_firewall = false; });
    if (!read) return std::unexpected(read.error());
  }
  for (const Table table : {Table::kMangle, Table::kFilter, Table::kNat}) {
    const std::size_t before = found.chains.size();
    auto listed = netlink::iptables::dump_chains(
        kernel, family, table,
        [&](const netlink::iptables::LiveChain& chain) {
          const bool firewall = table == Table::kFilter && chain.name == kFirewall && !keep_firewall;
          if (chain.name == kCanary || firewall || rules::iptables::is_own_chain(table, chain.name))
            found.chains.emplace_back(table, chain.name);
        },
        [&] { found.chains.resize(before); });
    if (!listed) return std::unexpected(listed.error());
  }
  std::set<std::pair<Table, std::string_view>> bases;
  for (const auto& jump : rules::iptables::builtin_jumps()) bases.insert({jump.table, jump.chain});
  for (const auto& [table, chain] : bases) {
    const std::size_t before = found.jumps.size();
    auto read = netlink::iptables::dump_rules(
        kernel, family, table, chain,
        [&](netlink::iptables::LiveRule& live) {
          const auto* jump = rules::iptables::find_builtin_jump(table, chain, live.rule);
          if (jump != nullptr && (jump->remove_on_cleanup || !keep_firewall))
            found.jumps.push_back({table, std::string(chain), live.handle});
        },
        [&] { found.jumps.resize(before); });
    if (!read) return std::unexpected(read.error());
  }
  if (auto host_ports = find_host_ports(kernel, family, kept, found); !host_ports)
    return std::unexpected(host_ports.error());
  return found;
}

}  // namespace

rules::Result<CleanupReport> remove_all(netlink::NfTables& kernel, rules::Family family) {
  Kept kept;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    auto generation = kernel.generation();
    if (!generation) return std::unexpected(generation.error());
    auto found = find_all(kernel, family, kept);
    if (!found) return std::unexpected(found.error());
    if (found->chains.empty() && found->jumps.empty()) return CleanupReport{};

    netlink::Batch batch;
    CleanupReport report;
    for (const Found::Jump& jump : found->jumps)
      netlink::iptables::delete_rule(batch, family, jump.table, jump.chain, jump.handle);
    for (const auto& [table, chain] : found->chains) netlink::iptables::flush_chain(batch, family, table, chain);
    for (const auto& one : found->chains) {
      if (kept.contains(one)) {
        report.emptied.push_back(rules::chain_ref(family, name_of(one.first), one.second));
      } else {
        netlink::iptables::delete_chain(batch, family, one.first, one.second);
      }
    }
    report.jumps = found->jumps.size();
    report.chains = found->chains.size() - report.emptied.size();
    // Towards the end without the guard: handles and names make every message safe by itself.
    const bool guarded = attempt < kMaxAttempts / 2;
    auto committed = kernel.commit(batch, guarded ? std::optional(*generation) : std::nullopt);
    if (committed) return report;
    if (committed.error().generation_changed) continue;
    bool learned = false;
    for (const rules::Refusal& refusal : committed.error().refusals) {
      const auto table = netlink::table_of(refusal.object.table);
      if (refusal.code == EBUSY && table) learned = kept.emplace(*table, refusal.object.name).second || learned;
    }
    if (!learned) return std::unexpected(committed.error().error);
  }
  return rules::fail(fmt::format("{} tables", name_of(family)), "clean up", "other programs keep changing the tables",
                     EAGAIN);
}

}  // namespace kubenatd::agent::dataplane::iptables
