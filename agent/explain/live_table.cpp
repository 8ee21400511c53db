#include "agent/explain/live_table.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "agent/dataplane/nftables/live.h"

namespace kubenatd::agent::explain {
namespace {

using namespace rules::nftables;

/// The desired rule that this one is, looked for in its own chain first.
NftRule read_rule(const dataplane::nftables::NftablesStructure::Rule& live, const Ruleset& wanted,
                  std::string_view chain, rules::Family family) {
  for (const bool own : {true, false})
    for (const Chain& one : wanted.chains) {
      if ((one.name == chain) != own) continue;
      for (const NftRule& rule : one.rules)
        if (dataplane::nftables::equal_rules({live}, {rule}, family)) return rule;
    }
  NftRule unknown;
  unknown.comment = "(a rule of another form)";
  if (!live.comment.empty()) unknown.comment += " " + live.comment;
  return unknown;
}

Chain read_chain(const dataplane::nftables::NftablesStructure& live, const Chain& wanted, const Ruleset& ruleset,
                 rules::Family family) {
  Chain chain = wanted;
  chain.rules.clear();
  if (live.chains.at(wanted.name) != netlink::nftables::describe_nft_chain(wanted)) chain.hook = Hook::kNone;
  const auto rules = live.rules.find(wanted.name);
  if (rules == live.rules.end()) return chain;
  if (dataplane::nftables::equal_rules(rules->second, wanted.rules, family)) {
    chain.rules = wanted.rules;
    return chain;
  }
  for (const dataplane::nftables::NftablesStructure::Rule& rule : rules->second)
    chain.rules.push_back(read_rule(rule, ruleset, wanted.name, family));
  return chain;
}

}  // namespace

rules::Result<TableState> read_live_table(netlink::NfTables& kernel, rules::Family family, DesiredElements& desired) {
  const auto structure = dataplane::nftables::read_nftables_structure(kernel, family);
  if (!structure) return std::unexpected(structure.error());
  const Ruleset wanted = desired.ruleset();
  dataplane::nftables::LiveElements live;
  TableState state;
  for (const SetSpec& set : wanted.sets) {
    const auto found = structure->sets.find(set.name);
    if (found == structure->sets.end()) continue;
    state.ruleset.sets.push_back(set);
    if (set.dynamic) continue;
    if (auto read = dataplane::nftables::read_nftables_elements(kernel, family, set.ref, live); !read)
      return std::unexpected(read.error());
  }
  for (const Chain& chain : wanted.chains)
    if (structure->chains.contains(chain.name))
      state.ruleset.chains.push_back(read_chain(*structure, chain, wanted, family));
  desired.adopt_order([&](const ElementKey& key) -> std::optional<Bytes<kDataCapacity>> {
    const auto found = live.find(key);
    return found == live.end() ? std::nullopt : std::optional(found->second.data);
  });
  for (auto& [key, value] : live) {
    if (!value.plain) value.comment += " (an element of another form)";
    auto comment = value.comment.empty() ? nullptr : std::make_shared<const std::string>(std::move(value.comment));
    state.elements.emplace(key, ElementValue{value.data, std::move(comment)});
  }
  return state;
}

}  // namespace kubenatd::agent::explain
