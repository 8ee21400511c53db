#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include "rules/nftables/desired.h"
#include "rules/nftables/plan.h"

/// From what is wanted and what there is to a plan. Pure.
namespace kubenatd::rules::nftables {

/// Sets, flowtables and chains that the kernel has, by name, and how they stand to the wanted ones of that name:
/// netlink's forms of them are compared where they were read.
struct LiveStructure {
  struct Chain {
    bool same_hook = false;
    bool same_rules = false;
  };
  std::map<std::string, bool> sets;        ///< true: of the same type
  std::map<std::string, bool> flowtables;  ///< true: at the same place; whatever devices they have
  std::map<std::string, Chain> chains;
  [[nodiscard]] bool empty() const { return sets.empty() && flowtables.empty() && chains.empty(); }
};

/// What the kernel says of an element.
struct LiveValue {
  Bytes<kDataCapacity> data;
  std::string comment;
  bool plain = true;  ///< it has nothing that is never written
};
using LiveElements = std::unordered_map<ElementKey, LiveValue>;

[[nodiscard]] bool equal(const LiveValue& live, const ElementValue& wanted);
/// For DesiredElements::adopt_order() and AsIf::order; `live` must outlive it.
[[nodiscard]] DesiredElements::LiveData order_of(const LiveElements& live);

/// What was read of the table.
struct LiveTable {
  LiveStructure structure;
  bool replace = false;   ///< whatever is in it, the table has to be made anew
  std::set<SetRef> read;  ///< sets whose elements are known
  LiveElements elements;
};

/// What makes the table as it is wanted. `written` is what it was made to be before; null: nothing yet, and nothing
/// that differs counts as drift. Of sets that were not read, what changed since the last commit is in the plan.
[[nodiscard]] Plan compare(const Ruleset& wanted, const Ruleset* written, const DesiredElements& desired,
                           LiveTable live);

/// What changed since the last commit, when nobody else has changed anything. `wanted` and `written` may be the same
/// object. Cost: of what changed alone.
[[nodiscard]] Plan changes(const Ruleset& wanted, const Ruleset& written, const DesiredElements& desired);

}  // namespace kubenatd::rules::nftables
