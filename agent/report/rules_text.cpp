#include "agent/report/rules_text.h"

#include <fmt/format.h>

#include "agent/base/printable.h"
#include "agent/explain/owner.h"

namespace kubenatd::agent::report {
namespace {

using rules::walk::Base;
using rules::walk::WalkChain;
using rules::walk::WalkRule;
using rules::walk::WalkSet;
using rules::walk::WalkTable;

constexpr std::size_t kLongestName = 128;
constexpr std::size_t kLongestRule = 2048;

std::string shown(std::string_view name) {
  return base::one_line(name, kLongestName);
}

std::string_view name_of(Base::Type type) {
  switch (type) {
    case Base::Type::kFilter: return "filter";
    case Base::Type::kNat: return "nat";
    case Base::Type::kRoute: return "route";
  }
  return "";
}

std::string table_of(const WalkTable& table) {
  return fmt::format("{} {}{}{}", rules::walk::name_of(table.family), shown(table.name),
                     table.legacy ? " (iptables-legacy)" : "", table.dormant ? " (dormant)" : "");
}

/// A rule of a chain that is shown.
void append_rule(std::string& text, const WalkTable& table, const WalkChain& chain, const WalkRule& rule) {
  text += fmt::format("{} -A {} {}\n", table_of(table), shown(chain.name),
                      base::one_line(explain::text_of(rule, table), kLongestRule));
}

void append_set(std::string& text, const WalkTable& table, const WalkSet& set) {
  if (set.anonymous) return;
  text += fmt::format("{} {} {}: {}\n", table_of(table), set.is_map ? "map" : "set", shown(set.name),
                      set.complete ? fmt::format("{} elements", set.elements.size() + (set.catch_all ? 1 : 0))
                                   : std::string("its elements were not read"));
}

}  // namespace

std::string base_chains(const rules::walk::Ruleset& rules) {
  std::string text;
  for (const WalkTable& table : rules.tables()) {
    for (const auto& [name, chain] : table.chains) {
      if (!chain.base) continue;
      const Base& base = *chain.base;
      text += fmt::format("{} {}: {} {} priority {}, policy {}, {}{}\n", table_of(table), shown(name),
                          rules::walk::name_of(base.hook), name_of(base.type), base.priority,
                          base.policy_drop ? "drop" : "accept",
                          chain.unread ? std::string("rules not read") : fmt::format("{} rules", chain.rules.size()),
                          explain::is_service_table(table) ? ", for Services" : "");
    }
  }
  for (const rules::walk::NotLookedAt& one : rules.not_looked_at)
    text += fmt::format("not looked at: {}: {}\n", shown(one.what), base::one_line(one.why, kLongestRule));
  return text;
}

std::string service_rules(const rules::walk::Ruleset& rules) {
  std::string text;
  for (const WalkTable& table : rules.tables()) {
    const bool whole = explain::is_service_table(table);
    if (!whole && !explain::is_of_iptables(table)) continue;
    for (const auto& [name, chain] : table.chains) {
      const bool is_shown = whole || explain::is_service_chain(name);
      for (const WalkRule& rule : chain.rules)
        if (is_shown || explain::is_service_chain(explain::jump_of(rule))) append_rule(text, table, chain, rule);
      if (is_shown && chain.rules.empty()) text += fmt::format("{} chain {}: no rules\n", table_of(table), shown(name));
    }
    if (!whole) continue;
    for (const auto& [name, set] : table.sets) append_set(text, table, set);
  }
  return text;
}

}  // namespace kubenatd::agent::report
