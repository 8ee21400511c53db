#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rules/former_walk/judge.h"
#include "rules/former_walk/packet.h"
#include "rules/former_walk/ruleset.h"

namespace kubenatd::rules::former_walk {

/// One rule that a packet met, or the end of a chain. Points into the Ruleset.
struct Hop {
  static constexpr std::uint32_t kNone = 0xffffffff;
  const WalkChain* chain = nullptr;
  const WalkRule* rule = nullptr;  ///< none: the policy of a builtin chain
  std::uint32_t before = kNone;    ///< the hop that led here
  std::uint32_t mark = 0;          ///< of the packet at the rule
  Fit fit = Fit::kNo;              ///< on this way; kByChance and kIfRemembered: on this way the rule fitted
  Part part = Part::kNone;         ///< what failed or cannot be judged
  bool assumed = false;            ///< kUnknown: on this way the rule is assumed to fit
};

/// What becomes of the packet.
enum class End : std::uint8_t {
  kForwarded,  ///< leaves the node
  kLocal,      ///< reaches a process in the node's own network, if one listens
  kDropped,
  kRejected,
  kUnknown,  ///< a rule decides that cannot be followed here
};

/// One way that the packet may go.
struct Outcome {
  End end = End::kForwarded;
  double odds = 1;          ///< among the ways with the same `remembered`
  bool odds_known = true;   ///< false: a rule that cannot be judged leads here, or does not
  bool remembered = false;  ///< only for a client that was at this endpoint lately (session affinity)
  Packet packet;            ///< as it is in the end; the source is still the original one when it is masqueraded
  bool destination_changed = false;
  bool masqueraded = false;  ///< the source becomes an address of this node
  std::uint32_t last = Hop::kNone;
  std::vector<std::uint32_t> doubts;  ///< hops that could not be judged, assumed to fit or not
};

/// All ways of one packet.
struct Walk {
  std::vector<Hop> hops;
  std::vector<Outcome> outcomes;
  bool cut = false;  ///< the rules are too many or too deep: not all ways were walked

  /// Indices of the hops of an outcome, from the first on.
  [[nodiscard]] std::vector<std::uint32_t> path(const Outcome& outcome) const;
};

/// Walks the first packet of a connection through mangle, nat and filter, as the kernel does: hook by hook, with the
/// routing decision between them. Rules with -m statistic or -m recent --rcheck split the way. A rule that cannot be
/// judged splits it, too: it fits or it does not, and the odds are not known from there on. One that could only set the
/// mark leaves one way, with a mark that is not known; one that decides nothing is passed over.
///
/// Purpose: the answer to "what happens to this packet" for any source of rules.
/// Failure: none; rules from a hostile text end in `cut`. Cost: the rules met, for each way; ways that come to the same
/// rule in the same state after such a split are followed once.
[[nodiscard]] Walk walk(const Ruleset& ruleset, const Packet& packet, const Surroundings& surroundings);

}  // namespace kubenatd::rules::former_walk
