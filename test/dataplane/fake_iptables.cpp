#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "netlink/core/attributes.h"
#include "netlink/iptables/writer.h"
#include "rules/text.h"
#include "rules/walk/xt/rule_text.h"
#include "test/dataplane/fake_programs.h"

namespace kubenatd::agent::test {
namespace {

using netlink::iptables::Placement;
using rules::Family;
using rules::Table;

std::vector<std::string> builtin_chains(Table table) {
  switch (table) {
    case Table::kFilter: return {"INPUT", "FORWARD", "OUTPUT"};
    case Table::kNat: return {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"};
    case Table::kMangle: return {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"};
  }
  return {};
}

Table table_named(const std::string& name) {
  for (const Table table : {Table::kFilter, Table::kNat, Table::kMangle})
    if (rules::name_of(table) == name) return table;
  throw std::runtime_error("iptables: no table " + name);
}

/// A rule from the words of a command; everything in it has to be understood.
rules::Rule read_rule(std::span<const std::string> words, Family family,
                      const std::function<bool(std::string_view)>& is_chain) {
  // iptables takes a port option without the protocol's -m as well, and prints it with that.
  const bool adds_match =
      std::ranges::find(words, "--dport") != words.end() && std::ranges::find(words, "-m") == words.end();
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (!text.empty()) text += ' ';
    text += words[i].find(' ') == std::string::npos ? words[i] : '"' + words[i] + '"';
    if (adds_match && i > 0 && words[i - 1] == "-p") text += " -m " + words[i];
  }
  rules::walk::WalkRule read = rules::walk::xt::read_rule(text, family, is_chain);
  if (!read.model) throw std::runtime_error("the fake iptables does not know: " + text);
  return *std::move(read.model);
}

/// -P: a base chain again, with its policy.
void set_policy(netlink::Batch& batch, Family family, Table table, const std::string& chain, bool drops) {
  constexpr std::size_t kBound = 256;
  batch.add(NFT_MSG_NEWCHAIN, 0, family, kBound, [&](char* at) {
    netlink::AttributeWriter out(at);
    out.text(NFTA_CHAIN_TABLE, rules::name_of(table));
    out.text(NFTA_CHAIN_NAME, chain);
    out.be32(NFTA_CHAIN_POLICY, drops ? NF_DROP : NF_ACCEPT);
    return out.at();
  });
}

}  // namespace

std::vector<FakePrograms::ChainState> FakePrograms::chains_of(Family family, Table table) {
  std::vector<ChainState> chains;
  const auto dumped = netlink::iptables::dump_chains(
      writer_.tables(), family, table,
      [&](const netlink::iptables::LiveChain& chain) {
        chains.push_back({std::string(chain.name), chain.is_base, chain.policy_drop});
      },
      [&] { chains.clear(); });
  if (!dumped) throw std::runtime_error(dumped.error().to_string());
  return chains;
}

std::vector<netlink::iptables::LiveRule> FakePrograms::rules_of(Family family, Table table, const std::string& chain) {
  std::vector<netlink::iptables::LiveRule> rules;
  const auto dumped = netlink::iptables::dump_rules(
      writer_.tables(), family, table, chain, [&](netlink::iptables::LiveRule& rule) { rules.push_back(rule); },
      [&] { rules.clear(); });
  if (!dumped) throw std::runtime_error(dumped.error().to_string());
  return rules;
}

/// As iptables-nft 1.8.9 does it: the table, and its builtin chains when the command is about one of them.
void FakePrograms::make_builtin(netlink::Batch& batch, Family family, Table table, const std::string& chain) {
  netlink::iptables::add_table(batch, family, table);
  const std::vector<std::string> builtins = builtin_chains(table);
  if (std::ranges::find(builtins, chain) == builtins.end()) return;
  const auto present = chains_of(family, table);
  for (const std::string& builtin : builtins)
    if (std::ranges::find(present, builtin, &ChainState::name) == present.end())
      netlink::iptables::add_base_chain(batch, family, table, builtin);
}

std::string FakePrograms::iptables(Family family, const std::vector<std::string>& given) {
  std::vector<std::string> words = given;
  Table table = Table::kFilter;
  if (const auto at = std::ranges::find(words, "-t"); at != words.end()) {
    table = table_named(*(at + 1));
    words.erase(at, at + 2);
  }
  const std::string command = words.at(0);
  const std::string chain = words.size() > 1 ? words[1] : "";
  const Words rest = Words(words).subspan(std::min<std::size_t>(2, words.size()));
  const auto chains = chains_of(family, table);
  const auto is_chain = [&](std::string_view name) {
    return std::ranges::any_of(chains, [&](const ChainState& one) { return one.name == name; });
  };
  const auto handle_at = [&](const std::string& number) {
    return rules_of(family, table, chain).at(std::stoul(number) - 1).handle;
  };
  const auto is_number = [](const std::string& word) {
    return !word.empty() && std::ranges::all_of(word, [](char letter) { return letter >= '0' && letter <= '9'; });
  };
  netlink::Batch batch;
  if (command == "-N") {
    make_builtin(batch, family, table, chain);
    netlink::iptables::add_chain(batch, family, table, chain, true);
  } else if (command == "-A") {
    make_builtin(batch, family, table, chain);
    netlink::iptables::add_rule(batch, family, table, chain, read_rule(rest, family, is_chain));
  } else if (command == "-I") {
    make_builtin(batch, family, table, chain);
    const bool numbered = !rest.empty() && is_number(rest[0]);
    const Placement place = numbered && rest[0] != "1" ? Placement::before(handle_at(rest[0])) : Placement::first();
    netlink::iptables::add_rule(batch, family, table, chain,
                                read_rule(numbered ? rest.subspan(1) : rest, family, is_chain), place);
  } else if (command == "-R") {
    const std::uint64_t handle = handle_at(rest[0]);
    netlink::iptables::add_rule(batch, family, table, chain, read_rule(rest.subspan(1), family, is_chain),
                                Placement::after(handle));
    netlink::iptables::delete_rule(batch, family, table, chain, handle);
  } else if (command == "-D" && rest.size() == 1 && is_number(rest[0])) {
    netlink::iptables::delete_rule(batch, family, table, chain, handle_at(rest[0]));
  } else if (command == "-D") {
    const rules::Rule wanted = read_rule(rest, family, is_chain);
    const auto present = rules_of(family, table, chain);
    const auto found = std::ranges::find(present, wanted, &netlink::iptables::LiveRule::rule);
    if (found == present.end())
      throw std::runtime_error("iptables: no such rule in " + chain + ": " + rules::to_text(wanted, family));
    netlink::iptables::delete_rule(batch, family, table, chain, found->handle);
  } else if (command == "-F") {
    for (const ChainState& one : chains)
      if (chain.empty() || one.name == chain) netlink::iptables::flush_chain(batch, family, table, one.name);
    if (!chain.empty() && !is_chain(chain)) throw std::runtime_error("iptables: no chain " + chain);
  } else if (command == "-X") {
    for (const ChainState& one : chains)
      if (!one.is_base && (chain.empty() || one.name == chain))
        netlink::iptables::delete_chain(batch, family, table, one.name);
    if (!chain.empty() && !is_chain(chain)) throw std::runtime_error("iptables: no chain " + chain);
  } else if (command == "-P") {
    make_builtin(batch, family, table, chain);
    set_policy(batch, family, table, chain, rest[0] == "DROP");
  } else {
    throw std::runtime_error("the fake iptables does not know " + command);
  }
  commit(batch, "iptables " + command + " " + chain);
  return {};
}

std::string FakePrograms::iptables_save(Family family, Words words) {
  std::optional<Table> only;
  bool counters = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "-t") only = table_named(words[++i]);
    if (words[i] == "-c") counters = true;
  }
  if (counters) throw std::runtime_error("the fake kernel counts no packets");
  std::string text;
  for (const Table table : {Table::kMangle, Table::kFilter, Table::kNat}) {
    if (only && *only != table) continue;
    const auto there = writer_.tables().has_table(family, table);
    if (!there) throw std::runtime_error(there.error().to_string());
    if (!*there) continue;
    text += "*" + std::string(rules::name_of(table)) + "\n";
    const auto chains = chains_of(family, table);
    for (const ChainState& chain : chains)
      text += ":" + chain.name + (!chain.is_base ? " -" : chain.drops ? " DROP" : " ACCEPT") + " [0:0]\n";
    for (const ChainState& chain : chains)
      for (const netlink::iptables::LiveRule& rule : rules_of(family, table, chain.name)) {
        const std::string words_of = rules::to_text(rule.rule, family);
        text += "-A " + chain.name + (words_of.empty() ? "" : " ") + words_of + "\n";
      }
    text += "COMMIT\n";
  }
  return text;
}

}  // namespace kubenatd::agent::test
