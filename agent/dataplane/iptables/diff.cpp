#include "agent/dataplane/iptables/diff.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "agent/dataplane/foreign_host_ports.h"
#include "agent/dataplane/iptables/listing.h"
#include "agent/dataplane/iptables/live_tables.h"
#include "netlink/iptables/reader.h"
#include "rules/hostport/names.h"
#include "rules/sequence_diff.h"

namespace kubenatd::agent::dataplane::iptables {
namespace {

using rules::Rule;
using rules::Table;

using Chains = std::map<std::string, std::vector<Rule>>;

rules::Status read_live(netlink::NfTables& kernel, rules::Family family, Table table, Chains& chains) {
  auto listed = netlink::iptables::dump_chains(
      kernel, family, table, [&](const netlink::iptables::LiveChain& chain) { chains[std::string(chain.name)]; },
      [&] { chains.clear(); });
  if (!listed) return listed;
  return netlink::iptables::dump_rules(
      kernel, family, table, {},
      [&](netlink::iptables::LiveRule& live) { chains[std::string(live.chain)].push_back(std::move(live.rule)); },
      [&] {
        for (auto& [name, rules] : chains) rules.clear();
      });
}

std::vector<rules::Digest> digests(const std::vector<Rule>& rules) {
  std::vector<rules::Digest> all;
  for (const Rule& rule : rules) all.push_back(rules::digest_of(rule));
  return all;
}

/// Takes the host ports that others serve into account, and returns what tells their chains from ours.
rules::Result<ForeignHostPorts> look_at_host_ports(netlink::NfTables& kernel, rules::Family family, const Chains& nat,
                                                   rules::hostport::HostPorts& host_ports) {
  ForeignHostPorts seen;
  for (const auto& [name, rules] : nat)
    for (const Rule& rule : rules) seen.note(name, rule);
  PlainHostPorts plain;
  if (auto read = plain.read(kernel, family); !read) return std::unexpected(read.error());
  auto claims = seen.claims();
  std::ranges::move(plain.claims(), std::back_inserter(claims));
  host_ports.set_foreign(std::move(claims));
  return seen;
}

/// Leaves only our rules of a chain of nat that others write to as well. As in LiveTables, what two writers have put
/// there twice is one rule of ours.
void keep_own(std::string_view name, std::vector<Rule>& rules) {
  std::erase_if(rules, [&](const Rule& rule) { return !rules::hostport::is_own_rule(name, rule); });
  if (name != rules::hostport::kDnatChain && rules.size() > 1) rules.resize(1);
}

/// Lines of two rule lists, in the order of the desired one, removed rules where they stood.
std::vector<ObjectDiff::Line> diff_rules(const std::vector<Rule>& live, const std::vector<Rule>& wanted,
                                         rules::Family family) {
  std::vector<rules::LiveRuleRef> refs;
  for (const rules::Digest& digest : digests(live)) refs.push_back({refs.size() + 1, digest});
  const rules::SequenceEdit edit = rules::diff_sequences(refs, digests(wanted));
  std::vector<ObjectDiff::Line> lines;
  std::size_t at = 0;
  const auto removed_until = [&](std::uint64_t handle) {
    for (; at < live.size() && at + 1 < handle; ++at) lines.push_back({'-', rules::to_text(live[at], family)});
  };
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (edit.handles[i] == 0) {
      lines.push_back({'+', rules::to_text(wanted[i], family)});
      continue;
    }
    removed_until(edit.handles[i]);
    at = edit.handles[i];
  }
  removed_until(live.size() + 1);
  return lines;
}

/// Our jumps that are missing in a builtin chain, and those that are there once too often; their place and the rules of
/// others do not count.
std::vector<ObjectDiff::Line> diff_jumps(Table table, std::string_view chain, const std::vector<Rule>& live,
                                         const std::vector<Rule>& wanted, rules::Family family) {
  std::vector<ObjectDiff::Line> lines;
  for (auto rule = live.begin(); rule != live.end(); ++rule) {
    // Jumps to chains of host ports are not ours where none is wanted.
    const bool is_wanted = std::ranges::find(wanted, *rule) != wanted.end();
    const bool ours = is_wanted || rules::iptables::find_builtin_jump(table, chain, *rule) != nullptr;
    if (ours && (!is_wanted || std::find(live.begin(), rule, *rule) != rule))
      lines.push_back({'-', rules::to_text(*rule, family)});
  }
  for (const Rule& jump : wanted)
    if (std::ranges::find(live, jump) == live.end()) lines.push_back({'+', rules::to_text(jump, family)});
  return lines;
}

/// The chains of a table that are there and should not be; those left in `live` are not wanted.
void add_unwanted(Table table, const Chains& live, const ForeignHostPorts& host_ports, rules::Family family,
                  std::vector<ObjectDiff>& diffs) {
  for (const auto& [name, rules] : live) {
    const bool container = rules::hostport::is_container_chain(table, name) && host_ports.own_chains().contains(name);
    // Without a host port the shared chains stay as they are, but for rules of ours that lead nowhere.
    const bool left_over = table == Table::kNat && name == rules::hostport::kDnatChain && !rules.empty();
    if (!rules::iptables::is_own_chain(table, name) && !container && !left_over) continue;
    diffs.push_back({.object = rules::chain_ref(family, name_of(table), name),
                     .presence = ObjectDiff::Presence::kUnwanted,
                     .lines = diff_rules(rules, {}, family)});
  }
}

}  // namespace

rules::Result<std::vector<ObjectDiff>> diff_with_live(netlink::NfTables& kernel, rules::Family family,
                                                      const rules::iptables::DesiredTables& service_ports,
                                                      rules::hostport::HostPorts& host_ports) {
  Chains nat;
  if (auto read = read_live(kernel, family, Table::kNat, nat); !read) return std::unexpected(read.error());
  const auto seen = look_at_host_ports(kernel, family, nat, host_ports);
  if (!seen) return std::unexpected(seen.error());
  for (auto& [name, rules] : nat)
    if (rules::hostport::is_shared_chain(Table::kNat, name)) keep_own(name, rules);
  std::vector<ObjectDiff> diffs;
  for (const rules::TableText& table : list_desired(service_ports, host_ports)) {
    const std::size_t first = diffs.size();
    Chains live;
    if (table.table == Table::kNat) {
      live = std::exchange(nat, {});
    } else if (auto read = read_live(kernel, family, table.table, live); !read) {
      return std::unexpected(read.error());
    }
    for (const rules::TableText::Chain& wanted : table.chains) {
      const auto found = live.find(wanted.name);
      const bool exists = found != live.end();
      const std::vector<Rule> none;
      const std::vector<Rule>& rules = exists ? found->second : none;
      // An empty KUBE-FIREWALL that is wanted only as a place to jump to may hold kubelet's rule.
      const bool only_there = wanted.name == "KUBE-FIREWALL" && wanted.rules.empty();
      ObjectDiff diff{
          .object = rules::chain_ref(family, name_of(table.table), wanted.name),
          .presence = exists || wanted.is_builtin ? ObjectDiff::Presence::kBoth : ObjectDiff::Presence::kMissing,
          .lines = wanted.is_builtin ? diff_jumps(table.table, wanted.name, rules, wanted.rules, family)
                   : only_there      ? std::vector<ObjectDiff::Line>{}
                                     : diff_rules(rules, wanted.rules, family)};
      if (diff.presence != ObjectDiff::Presence::kBoth || !diff.lines.empty()) diffs.push_back(std::move(diff));
      if (exists) live.erase(found);
    }
    add_unwanted(table.table, live, *seen, family, diffs);
    // Filter comes before nat already.
    std::ranges::sort(diffs.begin() + static_cast<std::ptrdiff_t>(first), diffs.end(), {},
                      [](const ObjectDiff& one) -> const std::string& { return one.object.name; });
  }
  return diffs;
}

}  // namespace kubenatd::agent::dataplane::iptables
