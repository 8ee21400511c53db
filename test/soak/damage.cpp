#include "test/soak/damage.h"

#include <fmt/format.h>

#include <algorithm>

#include "test/support/process.h"

namespace kubenatd::soak {
namespace {

/// Words behind `word` at the begin of a line of nft's listing.
std::vector<std::string> names(const std::string& listing, const std::string& word) {
  std::vector<std::string> found;
  for (const std::string& line : test::lines_of(listing)) {
    const auto begin = line.find_first_not_of(" \t");
    if (begin == std::string::npos || line.compare(begin, word.size() + 1, word + " ") != 0) continue;
    const auto name = begin + word.size() + 1;
    found.push_back(line.substr(name, line.find(' ', name) - name));
  }
  return found;
}

/// Handles of the rules of a chain, as `nft -a` lists them.
std::vector<std::string> handles(const std::string& listing) {
  const std::string mark = " # handle ";
  std::vector<std::string> found;
  for (const std::string& line : test::lines_of(listing)) {
    const auto at = line.rfind(mark);
    if (at == std::string::npos || line.find('{') != std::string::npos) continue;
    found.push_back(line.substr(at + mark.size()));
  }
  return found;
}

std::string list(const test::Namespace& node, const std::vector<std::string>& words) {
  std::vector<std::string> command{"nft", "-a", "-t", "list"};
  command.insert(command.end(), words.begin(), words.end());
  return test::run_in(node, command).out;
}

Damage with_nft(const std::string& kind, const std::string& text, bool takes_others = false) {
  return {kind, {"nft", "-f", "-"}, text + "\n", takes_others};
}

constexpr const char* kStrayRules[] = {"counter drop", "counter accept", "counter return", "meta l4proto tcp drop",
                                       "counter"};

/// What can be done to any chain.
Damage to_chain(const test::Namespace& node, const std::string& family, const std::string& table,
                const std::string& chain, Dice& dice) {
  const std::string place = fmt::format("{} {} {}", family, table, chain);
  switch (dice.below(4)) {
    case 0: return with_nft("chain flushed", "flush chain " + place);
    case 1: return with_nft("rule inserted", fmt::format("insert rule {} {}", place, dice.one_of(kStrayRules)));
    case 2: return with_nft("rule added", fmt::format("add rule {} {}", place, dice.one_of(kStrayRules)));
    default: break;
  }
  auto rules = handles(list(node, {"chain", family, table, chain}));
  if (rules.empty()) return with_nft("chain flushed", "flush chain " + place);
  return with_nft("rule deleted", fmt::format("delete rule {} handle {}", place, dice.one_of(rules)));
}

std::optional<Damage> to_iptables(const test::Namespace& node, Dice& dice) {
  const bool ipv6 = dice.one_in(2);
  const std::string family = ipv6 ? "ip6" : "ip";
  const std::string table = dice.one_in(3) ? "filter" : "nat";
  const unsigned kind = dice.below(20);
  if (kind == 0) return with_nft("nft flush ruleset", "flush ruleset", true);
  if (kind == 1) return with_nft("table deleted", fmt::format("delete table {} {}", family, table), true);
  if (kind < 4)
    return Damage{.kind = "iptables -F",
                  .command = {ipv6 ? "ip6tables" : "iptables", "-w", "-t", table, "-F"},
                  .takes_others = true};
  std::vector<std::string> ours;
  std::vector<std::string> fixed;
  for (const std::string& chain : names(list(node, {"chains", family}), "chain")) {
    if (!chain.starts_with("KUBE-") && !chain.starts_with("CNI-")) continue;
    ours.push_back(chain);
    if (!chain.starts_with("KUBE-SVC-") && !chain.starts_with("KUBE-SEP-")) fixed.push_back(chain);
  }
  // They say nothing of the table that a chain is in; a wrong one does nothing.
  if (ours.empty()) return std::nullopt;
  if (kind == 4) return with_nft("builtin chain flushed", fmt::format("flush chain {} nat OUTPUT", family), true);
  if (kind == 5) return with_nft("builtin chain flushed", fmt::format("flush chain {} nat PREROUTING", family), true);
  return to_chain(node, family, table, dice.one_of(dice.one_in(2) ? fixed : ours), dice);
}

std::optional<Damage> to_nftables(const test::Namespace& node, Dice& dice) {
  const std::string family = dice.one_in(2) ? "ip6" : "ip";
  const std::string table = "kubenatd";
  const unsigned kind = dice.below(20);
  if (kind == 0) return with_nft("nft flush ruleset", "flush ruleset", true);
  if (kind == 1) return with_nft("table deleted", fmt::format("delete table {} {}", family, table));
  const std::string listing = list(node, {"table", family, table});
  auto chains = names(listing, "chain");
  auto maps = names(listing, "map");
  auto sets = names(listing, "set");
  if (kind < 10 && !chains.empty()) return to_chain(node, family, table, dice.one_of(chains), dice);
  if (kind < 12 && !sets.empty())
    return with_nft("set flushed", fmt::format("flush set {} {} {}", family, table, dice.one_of(sets)));
  if (maps.empty()) return std::nullopt;
  return with_nft("map flushed", fmt::format("flush map {} {} {}", family, table, dice.one_of(maps)));
}

constexpr const char* kForeignTable = R"(table inet soak_other {
  set numbers {
    type ipv4_addr
    elements = { 192.0.2.1, 192.0.2.7 }
  }
  chain forward {
    type filter hook forward priority 10; policy accept;
    ip saddr @numbers drop
  }
}
)";
constexpr const char* kForeignChain =
    "*nat\n:SOAK-OTHER - [0:0]\n-F SOAK-OTHER\n-A SOAK-OTHER -s 192.0.2.0/24 -j RETURN\n"
    "-A SOAK-OTHER -d 192.0.2.9/32 -p tcp -m tcp --dport 81 -j DNAT --to-destination 192.0.2.10:82\nCOMMIT\n";

std::string foreign_chain(const test::Namespace& node) {
  return test::run_in(node, {"iptables", "-w", "-t", "nat", "-S", "SOAK-OTHER"}).out;
}
std::string foreign_table(const test::Namespace& node) {
  return test::run_in(node, {"nft", "list", "table", "inet", "soak_other"}).out;
}

}  // namespace

std::optional<Damage> random_damage(const std::string& mode, const test::Namespace& node, Dice& dice) {
  return mode == "nftables" ? to_nftables(node, dice) : to_iptables(node, dice);
}

ForeignRules::ForeignRules(const test::Namespace& node) : node_(node) {
  put();
  chain_ = foreign_chain(node_);
  table_ = foreign_table(node_);
}

void ForeignRules::put() const {
  if (foreign_table(node_).empty()) test::must_run_in(node_, {"nft", "-f", "-"}, kForeignTable);
  // The text flushes the chain first.
  test::must_run_in(node_, {"iptables-restore", "-w", "--noflush"}, kForeignChain);
}

std::string ForeignRules::difference() const {
  return test::changed_lines(chain_, foreign_chain(node_)) + test::changed_lines(table_, foreign_table(node_));
}

}  // namespace kubenatd::soak
