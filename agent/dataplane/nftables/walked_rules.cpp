#include "agent/dataplane/nftables/walked_rules.h"

#include <memory>
#include <string>
#include <utility>

#include "agent/dataplane/nftables/live.h"

namespace kubenatd::agent::dataplane::nftables {
namespace {

using namespace rules::nftables;

/// The desired rule that this one is, looked for in its own chain first.
NftRule read_rule(const NftablesStructure::Rule& live, const Ruleset& wanted, std::string_view chain,
                  rules::Family family) {
  for (const bool own : {true, false})
    for (const Chain& one : wanted.chains) {
      if ((one.name == chain) != own) continue;
      for (const NftRule& rule : one.rules)
        if (equal_rules({live}, {rule}, family)) return rule;
    }
  NftRule unknown;
  unknown.comment = "(a rule of another form)";
  if (!live.comment.empty()) unknown.comment += " " + live.comment;
  return unknown;
}

Chain read_chain(const NftablesStructure& live, const Chain& wanted, const Ruleset& ruleset, rules::Family family) {
  Chain chain = wanted;
  chain.rules.clear();
  if (live.chains.at(wanted.name) != netlink::nftables::describe_nft_chain(wanted)) chain.hook = Hook::kNone;
  const auto rules = live.rules.find(wanted.name);
  if (rules == live.rules.end()) return chain;
  if (equal_rules(rules->second, wanted.rules, family)) {
    chain.rules = wanted.rules;
    return chain;
  }
  for (const NftablesStructure::Rule& rule : rules->second)
    chain.rules.push_back(read_rule(rule, ruleset, wanted.name, family));
  return chain;
}

}  // namespace

rules::Result<TableState> read_live_table(netlink::NfTables& kernel, rules::Family family, const Ruleset& wanted) {
  const auto structure = read_nftables_structure(kernel, family);
  if (!structure) return std::unexpected(structure.error());
  TableState state;
  for (const SetSpec& set : wanted.sets)
    if (structure->sets.contains(set.name)) state.ruleset.sets.push_back(set);
  auto live = read_all_nftables_elements(kernel, family, state.ruleset);
  if (!live) return std::unexpected(live.error());
  for (const Chain& chain : wanted.chains)
    if (structure->chains.contains(chain.name))
      state.ruleset.chains.push_back(read_chain(*structure, chain, wanted, family));
  for (auto& [key, value] : *live) {
    if (!value.plain) value.comment += " (an element of another form)";
    auto comment = value.comment.empty() ? nullptr : std::make_shared<const std::string>(std::move(value.comment));
    state.elements.emplace(key, ElementValue{value.data, std::move(comment)});
  }
  return state;
}

}  // namespace kubenatd::agent::dataplane::nftables
