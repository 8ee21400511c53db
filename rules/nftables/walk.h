#pragma once

#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "rules/former_walk/packet.h"
#include "rules/former_walk/walker.h"
#include "rules/nftables/desired.h"

/// What happens to a packet in nftables mode: the rules of the table `kubenatd`, judged one after the other, and the
/// elements that they look up. Pure.
namespace kubenatd::rules::nftables {

using Elements = std::unordered_map<ElementKey, ElementValue>;
using Element = Elements::value_type;

/// The table as it is wanted, or as it stands in a kernel. A rule without statements is one that is not understood.
struct TableState {
  Ruleset ruleset;
  Elements elements;
};

[[nodiscard]] TableState state_of(const DesiredElements& desired, const DesiredElements::AsIf& as_if = {});

/// One rule that a packet met. Points into the TableState.
struct TableHop {
  const Chain* chain = nullptr;
  const NftRule* rule = nullptr;
  std::vector<const Element*> found;  ///< what it looked up and found
  former_walk::Fit fit =
      former_walk::Fit::kYes;  ///< kNo: an element was found, and the rule did not fit for another reason
  bool operator==(const TableHop&) const = default;
};

/// One way that the packet may go.
struct TableWay {
  former_walk::End end = former_walk::End::kForwarded;
  double odds = 1;             ///< among the ways that are not `remembered`
  bool remembered = false;     ///< only for a client that was at this endpoint lately (session affinity)
  former_walk::Packet packet;  ///< as it is in the end; the source is still the original one when it is masqueraded
  bool destination_changed = false;
  bool masqueraded = false;
  std::size_t masquerade_hop = 0;  ///< in `hops`: the rule that is the reason for it
  std::vector<TableHop> hops;
};

/// All ways of one packet, and what decided about them.
struct TableWalk {
  std::vector<TableWay> ways;
  std::set<std::string> chains;
  std::set<ElementKey> keys;  ///< looked up, whether there or not; of ranges those that were found
  bool cut = false;           ///< rules that lead nowhere: not all ways are there
};

/// Walks the first packet of a connection through the table, hook by hook, with the routing decision between them.
/// Numbers that are drawn split the way, each endpoint once, with the odds of all draws together. A rule that cannot be
/// judged is taken as not fitting, and is a hop with Fit::kUnknown.
///
/// Failure: none. Cost: a look-up for each number that may be drawn, and the rules met for each endpoint.
[[nodiscard]] TableWalk walk_table(const TableState& state, const former_walk::Packet& packet,
                                   const former_walk::Surroundings& surroundings);

}  // namespace kubenatd::rules::nftables
