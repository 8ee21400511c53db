#include "rules/former_walk/ruleset.h"

#include <algorithm>

namespace kubenatd::rules::former_walk {

OtherEffect effect_of(std::string_view other_target) {
  constexpr std::string_view kNoEffect[] = {
      "LOG", "NFLOG", "ULOG", "TRACE",   "AUDIT", "CHECKSUM", "TCPMSS", "CLASSIFY", "TTL",         "HL",       "DSCP",
      "TOS", "SET",   "LED",  "RATEEST", "TEE",   "CT",       "ECN",    "SECMARK",  "CONNSECMARK", "IDLETIMER"};
  const std::string_view name = other_target.substr(0, other_target.find(' '));
  if (std::ranges::find(kNoEffect, name) != std::end(kNoEffect)) return OtherEffect::kNone;
  if (name == "CONNMARK" || name == "MARK") return OtherEffect::kMark;
  if (name == "REJECT") return OtherEffect::kReject;
  if (name == "SNAT") return OtherEffect::kSourceNat;
  return OtherEffect::kUnknown;
}

WalkChain& Ruleset::chain(Table table, std::string_view name) {
  auto& chains = tables_[static_cast<std::size_t>(table)];
  const auto found = chains.find(name);
  if (found != chains.end()) return found->second;
  WalkChain& made = chains[std::string(name)];
  made.table = table;
  made.name = name;
  return made;
}

const WalkChain* Ruleset::find(Table table, std::string_view name) const {
  const auto& chains = tables_[static_cast<std::size_t>(table)];
  const auto found = chains.find(name);
  return found == chains.end() ? nullptr : &found->second;
}

void Ruleset::for_each(const std::function<void(const WalkChain&)>& visit) const {
  for (const auto& chains : tables_)
    for (const auto& [name, chain] : chains) visit(chain);
}

std::size_t Ruleset::chains() const {
  std::size_t count = 0;
  for (const auto& chains : tables_) count += chains.size();
  return count;
}

std::string text_of(const WalkRule& rule, Family family) {
  return rule.text.empty() ? to_text(rule.rule, family) : rule.text;
}

WalkRule walk_rule(Rule rule) {
  WalkRule made;
  if (!rule.opaque.empty()) {
    made.unknown.push_back(rule.opaque);
    made.text = rule.opaque;
    made.other_target = "?";
  }
  made.rule = std::move(rule);
  return made;
}

void add_table(Ruleset& ruleset, const TableText& table) {
  for (const TableText::Chain& chain : table.chains) {
    WalkChain& made = ruleset.chain(table.table, chain.name);
    made.is_builtin = chain.is_builtin;
    made.rules.reserve(chain.rules.size());
    for (const Rule& rule : chain.rules) made.rules.push_back(walk_rule(rule));
  }
}

bool is_builtin_name(Table table, std::string_view name) {
  const bool input_or_output = name == "INPUT" || name == "OUTPUT";
  switch (table) {
    case Table::kFilter: return input_or_output || name == "FORWARD";
    case Table::kNat: return input_or_output || name == "PREROUTING" || name == "POSTROUTING";
    case Table::kMangle: return input_or_output || name == "FORWARD" || name == "PREROUTING" || name == "POSTROUTING";
  }
  return false;
}

}  // namespace kubenatd::rules::former_walk
