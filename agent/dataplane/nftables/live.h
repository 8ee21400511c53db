#pragma once

#include <map>
#include <string>
#include <vector>

#include "netlink/core/nf_tables.h"
#include "netlink/nftables/codec.h"
#include "rules/nftables/diff.h"

/// What the kernel holds of nftables mode's table in one family, as it was read.
namespace kubenatd::agent::dataplane::nftables {

/// Sets, flowtables, chains and rules, without elements.
struct NftablesStructure {
  struct Rule {
    std::string expressions;
    std::string comment;
  };
  std::map<std::string, netlink::nftables::LiveSet> sets;
  std::map<std::string, netlink::nftables::LiveFlowtable> flowtables;
  std::map<std::string, netlink::nftables::LiveNftChain> chains;
  std::map<std::string, std::vector<Rule>> rules;  ///< by chain, in order
};

[[nodiscard]] rules::Result<std::map<std::string, netlink::nftables::LiveFlowtable>> read_flowtables(
    netlink::NfTables& kernel, rules::Family family);
[[nodiscard]] rules::Result<NftablesStructure> read_nftables_structure(netlink::NfTables& kernel, rules::Family family);

/// How it stands to what is wanted.
[[nodiscard]] rules::nftables::LiveStructure compare_structure(const NftablesStructure& live,
                                                               const rules::nftables::Ruleset& wanted,
                                                               rules::Family family);

/// Adds the elements of a set; one that is not there has none.
[[nodiscard]] rules::Status read_nftables_elements(netlink::NfTables& kernel, rules::Family family,
                                                   const rules::nftables::SetRef& set,
                                                   rules::nftables::LiveElements& elements);
/// The elements of all sets of `ruleset` but those that packets fill.
[[nodiscard]] rules::Result<rules::nftables::LiveElements> read_all_nftables_elements(
    netlink::NfTables& kernel, rules::Family family, const rules::nftables::Ruleset& ruleset);

/// Whether the rules of a chain are these.
[[nodiscard]] bool equal_rules(const std::vector<NftablesStructure::Rule>& live,
                               const std::vector<rules::nftables::NftRule>& wanted, rules::Family family);

}  // namespace kubenatd::agent::dataplane::nftables
