#include "agent/dataplane/nftables/live.h"

#include <linux/netfilter/nf_tables.h>

#include <algorithm>

namespace kubenatd::agent::dataplane::nftables {

using rules::nftables::kTable;
using rules::nftables::LiveElements;
using rules::nftables::LiveStructure;

rules::Result<std::map<std::string, netlink::nftables::LiveFlowtable>> read_flowtables(netlink::NfTables& kernel,
                                                                                       rules::Family family) {
  std::map<std::string, netlink::nftables::LiveFlowtable> flowtables;
  auto read = kernel.dump_objects(
      family, kTable, NFT_MSG_GETFLOWTABLE, {},
      [&](std::string_view attributes) {
        if (auto flowtable = netlink::nftables::read_nft_flowtable(attributes, kTable))
          flowtables.emplace(flowtable->name, *flowtable);
      },
      [&] { flowtables.clear(); });
  if (!read) return std::unexpected(read.error());
  return flowtables;
}

rules::Result<NftablesStructure> read_nftables_structure(netlink::NfTables& kernel, rules::Family family) {
  NftablesStructure structure;
  auto read = kernel.dump_objects(
      family, kTable, NFT_MSG_GETSET, {},
      [&](std::string_view attributes) {
        if (auto set = netlink::nftables::read_nft_set(attributes, kTable)) structure.sets.emplace(set->name, *set);
      },
      [&] { structure.sets.clear(); });
  if (!read) return std::unexpected(read.error());
  auto flowtables = read_flowtables(kernel, family);
  if (!flowtables) return std::unexpected(flowtables.error());
  structure.flowtables = std::move(*flowtables);
  read = kernel.dump_objects(
      family, kTable, NFT_MSG_GETCHAIN, {},
      [&](std::string_view attributes) {
        if (auto chain = netlink::nftables::read_nft_chain(attributes, kTable))
          structure.chains.emplace(chain->name, *chain);
      },
      [&] { structure.chains.clear(); });
  if (!read) return std::unexpected(read.error());
  read = kernel.dump_objects(
      family, kTable, NFT_MSG_GETRULE, {},
      [&](std::string_view attributes) {
        if (const auto rule = netlink::nftables::read_nft_rule(attributes, kTable))
          structure.rules[std::string(rule->chain)].push_back(
              {std::string(rule->expressions), std::string(rule->comment)});
      },
      [&] { structure.rules.clear(); });
  if (!read) return std::unexpected(read.error());
  return structure;
}

rules::Status read_nftables_elements(netlink::NfTables& kernel, rules::Family family,
                                     const rules::nftables::SetRef& set, LiveElements& elements) {
  return kernel.dump_objects(
      family, kTable, NFT_MSG_GETSETELEM, name_of(set),
      [&](std::string_view attributes) {
        netlink::nftables::read_nft_elements(attributes, set, [&](const netlink::nftables::LiveElement& element) {
          elements.insert_or_assign(
              element.key, rules::nftables::LiveValue{element.data, std::string(element.comment), element.plain});
        });
      },
      [&] { std::erase_if(elements, [&](const auto& element) { return element.first.set == set; }); });
}

rules::Result<LiveElements> read_all_nftables_elements(netlink::NfTables& kernel, rules::Family family,
                                                       const rules::nftables::Ruleset& ruleset) {
  LiveElements elements;
  for (const rules::nftables::SetSpec& set : ruleset.sets) {
    if (set.dynamic) continue;
    if (auto read = read_nftables_elements(kernel, family, set.ref, elements); !read)
      return std::unexpected(read.error());
  }
  return elements;
}

LiveStructure compare_structure(const NftablesStructure& live, const rules::nftables::Ruleset& wanted,
                                rules::Family family) {
  LiveStructure compared;
  for (const auto& [name, set] : live.sets) compared.sets.emplace(name, false);
  for (const auto& [name, flowtable] : live.flowtables) compared.flowtables.emplace(name, false);
  for (const rules::nftables::FlowtableSpec& flowtable : wanted.flowtables) {
    const auto found = live.flowtables.find(flowtable.name);
    if (found != live.flowtables.end()) compared.flowtables[flowtable.name] = found->second.is_like(flowtable);
  }
  for (const auto& [name, chain] : live.chains) compared.chains.emplace(name, LiveStructure::Chain{});
  for (const rules::nftables::SetSpec& set : wanted.sets) {
    const auto found = live.sets.find(set.name);
    if (found != live.sets.end())
      compared.sets[set.name] = found->second == netlink::nftables::describe_nft_set(set, family);
  }
  static const std::vector<NftablesStructure::Rule> kNone;
  for (const rules::nftables::Chain& chain : wanted.chains) {
    const auto found = live.chains.find(chain.name);
    if (found == live.chains.end()) continue;
    const auto rules = live.rules.find(chain.name);
    compared.chains[chain.name] = {
        .same_hook = found->second == netlink::nftables::describe_nft_chain(chain),
        .same_rules = equal_rules(rules == live.rules.end() ? kNone : rules->second, chain.rules, family)};
  }
  return compared;
}

bool equal_rules(const std::vector<NftablesStructure::Rule>& live, const std::vector<rules::nftables::NftRule>& wanted,
                 rules::Family family) {
  return std::ranges::equal(live, wanted, [&](const auto& one, const auto& other) {
    return one.comment == other.comment &&
           netlink::nftables::same_expressions(one.expressions,
                                               netlink::nftables::encode_nft_expressions(other, family));
  });
}

}  // namespace kubenatd::agent::dataplane::nftables
