#pragma once

#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "netlink/core/nf_tables.h"
#include "netlink/nftables/codec.h"
#include "rules/nftables/desired.h"

/// What the kernel holds of nftables mode's table in one family, as it was read.
namespace kubenatd::agent::dataplane::nftables {

/// Sets, chains and rules, without elements.
struct NftablesStructure {
  struct Rule {
    std::string expressions;
    std::string comment;
  };
  std::map<std::string, netlink::nftables::LiveSet> sets;
  std::map<std::string, netlink::nftables::LiveNftChain> chains;
  std::map<std::string, std::vector<Rule>> rules;  ///< by chain, in order
};

[[nodiscard]] rules::Result<NftablesStructure> read_nftables_structure(netlink::NfTables& kernel, rules::Family family);

struct LiveValue {
  rules::nftables::Bytes<rules::nftables::kDataCapacity> data;
  std::string comment;
  bool plain = true;
};
using LiveElements = std::unordered_map<rules::nftables::ElementKey, LiveValue>;

/// Adds the elements of a set; one that is not there has none.
[[nodiscard]] rules::Status read_nftables_elements(netlink::NfTables& kernel, rules::Family family,
                                                   const rules::nftables::SetRef& set, LiveElements& elements);

[[nodiscard]] inline bool equal(const LiveValue& live, const rules::nftables::ElementValue& wanted) {
  const std::string_view comment = wanted.comment ? std::string_view(*wanted.comment) : std::string_view();
  return live.plain && live.data == wanted.data && live.comment == comment;
}

/// Whether the rules of a chain are these.
[[nodiscard]] bool equal_rules(const std::vector<NftablesStructure::Rule>& live,
                               const std::vector<rules::nftables::NftRule>& wanted, rules::Family family);

}  // namespace kubenatd::agent::dataplane::nftables
