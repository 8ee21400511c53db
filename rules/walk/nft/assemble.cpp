#include "rules/walk/nft/assemble.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "rules/walk/nft/rule_print.h"

namespace kubenatd::rules::walk::nft {
namespace {

constexpr std::array<std::pair<std::string_view, TableFamily>, 6> kFamilies{{{"ip", TableFamily::kIp},
                                                                             {"ip6", TableFamily::kIp6},
                                                                             {"inet", TableFamily::kInet},
                                                                             {"netdev", TableFamily::kNetdev},
                                                                             {"bridge", TableFamily::kBridge},
                                                                             {"arp", TableFamily::kArp}}};
constexpr std::array<std::pair<std::string_view, Hook>, 7> kHooks{{{"ingress", Hook::kIngress},
                                                                   {"prerouting", Hook::kPrerouting},
                                                                   {"input", Hook::kInput},
                                                                   {"forward", Hook::kForward},
                                                                   {"output", Hook::kOutput},
                                                                   {"postrouting", Hook::kPostrouting},
                                                                   {"egress", Hook::kEgress}}};

std::string_view word_of(TableFamily family) {
  return kFamilies[static_cast<std::size_t>(family)].first;
}

/// As it stood there, without numbers that change.
std::string text_of_rule(const RuleSource& rule) {
  std::string text;
  for (const Clause& clause : rule.clauses) {
    if (clause.kind == Clause::Kind::kCounter) continue;
    if (!text.empty()) text += ' ';
    text += clause.text;
  }
  return text;
}

WalkRule walk_rule(WalkTable& table, RuleSource& source) {
  WalkRule rule;
  rule.statements = compile_rule(table, source.clauses);
  if (source.has_text) rule.text = text_of_rule(source);
  if (rule.text.empty()) rule.text = to_text(rule.statements, table);
  rule.comment = std::move(source.comment);
  rule.handle = source.handle;
  rule.counters = source.counters;
  return rule;
}

bool shows_elements(const std::vector<TableSource>& tables) {
  return std::ranges::any_of(tables, [](const TableSource& table) {
    return std::ranges::any_of(table.sets, [](const SetDefinition& set) { return !set.elements.empty(); });
  });
}

Status add_table(TableSource& source, bool has_elements, Ruleset& into) {
  const std::string object = fmt::format("table {} {}", word_of(source.family), source.name);
  if (into.find(source.family, source.name) != nullptr)
    return fail(object, "read ruleset", "is there twice: the text holds more than one rule set");
  WalkTable& table = into.table(source.family, source.name);
  table.dormant = source.dormant;
  table.handle = source.handle;
  for (SetDefinition& set : source.sets) {
    if (table.sets.contains(set.name)) return fail(object + ", set " + set.name, "read ruleset", "is there twice");
    if (set.elements.empty() && !has_elements) set.complete = false;
    add_set(table, set);
  }
  for (ChainSource& from : source.chains) {
    if (table.chains.contains(from.name))
      return fail(object + ", chain " + from.name, "read ruleset", "is there twice");
    WalkChain chain;
    chain.name = from.name;
    chain.base = std::move(from.base);
    chain.handle = from.handle;
    chain.rules.reserve(from.rules.size());
    for (RuleSource& rule : from.rules) chain.rules.push_back(walk_rule(table, rule));
    const bool of_device = chain.base && (chain.base->hook == Hook::kIngress || chain.base->hook == Hook::kEgress);
    // nft 1.0.6 leaves it away in JSON.
    if (of_device && chain.base->devices.empty())
      into.not_looked_at.push_back({fmt::format("chain {} of {}", chain.name, object), "its device is not said"});
    table.chains[chain.name] = std::move(chain);
  }
  return {};
}

}  // namespace

std::optional<TableFamily> family_named(std::string_view name) {
  const auto* const found = std::ranges::find(kFamilies, name, &std::pair<std::string_view, TableFamily>::first);
  if (found == kFamilies.end()) return std::nullopt;
  return found->second;
}

std::optional<Base> base_of(std::string_view type, std::string_view hook, std::int32_t priority) {
  Base base;
  base.priority = priority;
  if (type == "nat") {
    base.type = Base::Type::kNat;
  } else if (type == "route") {
    base.type = Base::Type::kRoute;
  } else if (type != "filter") {
    return std::nullopt;
  }
  const auto* const found = std::ranges::find(kHooks, hook, &std::pair<std::string_view, Hook>::first);
  if (found == kHooks.end()) return std::nullopt;
  base.hook = found->second;
  return base;
}

Status add_tables(std::vector<TableSource> tables, Ruleset& into) {
  const bool has_elements = shows_elements(tables);
  for (TableSource& table : tables)
    if (Status added = add_table(table, has_elements, into); !added) return added;
  return {};
}

}  // namespace kubenatd::rules::walk::nft
