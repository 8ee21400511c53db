#include "agent/node/leftovers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "agent/dataplane/left_behind.h"
#include "netlink/core/names.h"
#include "netlink/core/nf_tables.h"
#include "netlink/walk/legacy_tables.h"
#include "rules/nftables/ruleset.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::agent::node {
namespace {

using config::Config;
using rules::Family;

constexpr std::string_view kServices = "KUBE-SERVICES";

void read_tables(netlink::NfTables& tables, Leftovers& into) {
  const auto look = [&](Family family, std::string_view table, std::string_view chain, auto& found,
                        const rules::Result<bool>& answer) {
    std::string name = netlink::describe_object(family, table, chain);
    if (!answer) {
      into.not_read.push_back(name + ": " + answer.error().cause);
    } else if (*answer) {
      found.push_back(std::move(name));
    }
  };
  for (const Family family : rules::kFamilies) {
    look(family, dataplane::kKubeProxyTable, {}, into.proxy_tables,
         tables.has_table(family, dataplane::kKubeProxyTable));
    look(family, rules::nftables::kTable, {}, into.own_tables, tables.has_table(family, rules::nftables::kTable));
    look(family, "nat", kServices, into.proxy_chains, tables.has_chain(family, rules::Table::kNat, kServices));
    if (const auto ipvs = dataplane::find_ipvs(tables, family))
      for (const std::string& one : *ipvs)
        if (std::ranges::find(into.ipvs, one) == into.ipvs.end()) into.ipvs.push_back(one);
  }
}

void read_legacy(Leftovers& into) {
  rules::walk::Ruleset ruleset;
  netlink::walk::read_legacy_tables(ruleset);
  for (const rules::walk::WalkTable& table : ruleset.tables()) {
    const bool ipv4 = table.family == rules::walk::TableFamily::kIp;
    std::string name = fmt::format("{} of {}", table.name, ipv4 ? "iptables-legacy" : "ip6tables-legacy");
    if (table.chain(kServices) != nullptr) into.legacy_services.push_back(name);
    into.legacy_tables.push_back(std::move(name));
  }
  for (const rules::walk::NotLookedAt& one : ruleset.not_looked_at) into.not_read.push_back(one.what + ": " + one.why);
}

std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

bool asks_for(const std::vector<Config::Mode>& modes, Config::Mode mode) {
  return std::ranges::find(modes, mode) != modes.end();
}

Finding judge_legacy(const Leftovers& leftovers) {
  Finding finding{.name = "iptables-legacy", .what = "none"};
  if (!leftovers.legacy_services.empty()) {
    finding.state = State::kWarning;
    finding.what = fmt::format("Services of a kube-proxy are in {}, and go on to be translated there",
                               joined(leftovers.legacy_services));
    finding.remedy =
        "iptables-legacy-save shows them; kube-proxy --cleanup with iptables-legacy, or a reboot, removes them";
  } else if (!leftovers.legacy_tables.empty()) {
    finding.state = State::kWarning;
    finding.what = fmt::format("rules are in use in {}, beside those of nf_tables: both decide about a packet",
                               joined(leftovers.legacy_tables));
    finding.remedy = "iptables-legacy-save shows them; who makes them should use iptables-nft";
  }
  return finding;
}

Finding judge_proxy_tables(const Leftovers& leftovers) {
  Finding finding{.name = "kube-proxy-tables", .what = "none"};
  if (leftovers.proxy_tables.empty()) return finding;
  finding.state = State::kWarning;
  finding.what = fmt::format("{}, of kube-proxy in nftables mode: Services are translated there, deleted ones, too",
                             joined(leftovers.proxy_tables));
  finding.remedy = "end that kube-proxy, then kubenatd cleanup or nft delete table";
  return finding;
}

Finding judge_ipvs(const Leftovers& leftovers) {
  Finding finding{.name = "ipvs", .what = "none"};
  if (leftovers.ipvs.empty()) return finding;
  finding.state = State::kWarning;
  finding.what =
      fmt::format("{}, of kube-proxy in ipvs mode: what kubenatd does not know may end there", joined(leftovers.ipvs));
  finding.remedy = "kube-proxy --cleanup; or ipvsadm --clear, ip link delete kube-ipvs0, and ipset destroy of KUBE-*";
  return finding;
}

Finding judge_other_mode(const Leftovers& leftovers, const std::vector<Config::Mode>& modes) {
  Finding finding{.name = "other-mode", .what = "none"};
  if (modes.size() != 1) return finding;
  const bool nftables = asks_for(modes, Config::Mode::kNftables);
  const auto& found = nftables ? leftovers.proxy_chains : leftovers.own_tables;
  if (!found.empty())
    finding.what = fmt::format("{} is there, of the other mode; run removes it at its start", joined(found));
  return finding;
}

}  // namespace

Leftovers read_leftovers(dataplane::Kernel& kernel) {
  Leftovers leftovers;
  if (auto socket = kernel.connect()) {
    netlink::NfTables tables(std::move(*socket));
    read_tables(tables, leftovers);
  } else {
    leftovers.not_read.push_back("tables: " + socket.error().cause);
  }
  read_legacy(leftovers);
  return leftovers;
}

Findings judge(const Leftovers& leftovers, const std::vector<Config::Mode>& modes, const std::string& rival) {
  Findings findings;
  Finding alive{.name = "other-proxy", .what = "none"};
  if (!rival.empty()) {
    alive.state = State::kWarning;
    alive.what = "a kube-proxy, or another kubenatd, runs on this node: " + rival;
    alive.remedy = "end it before kubenatd runs: two of them overwrite each other";
  }
  findings.push_back(std::move(alive));
  findings.push_back(judge_proxy_tables(leftovers));
  findings.push_back(judge_ipvs(leftovers));
  findings.push_back(judge_legacy(leftovers));
  findings.push_back(judge_other_mode(leftovers, modes));
  if (!leftovers.not_read.empty()) {
    // Of one cause, most of the time: the rest is as long as it is dull.
    findings.push_back(
        {.name = "leftovers",
         .state = State::kUnknown,
         .what = fmt::format(
             "could not be looked at: {}{}", leftovers.not_read.front(),
             leftovers.not_read.size() > 1 ? fmt::format(" and {} more", leftovers.not_read.size() - 1) : "")});
  }
  return findings;
}

}  // namespace kubenatd::agent::node
