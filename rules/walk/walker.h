#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rules/walk/judge.h"
#include "rules/walk/packet.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::rules::walk {

/// One rule that a packet met, or the end of a chain. Points into the Ruleset.
struct Hop {
  static constexpr std::uint32_t kNone = 0xffffffff;
  const WalkTable* table = nullptr;
  const WalkChain* chain = nullptr;
  const WalkRule* rule = nullptr;  ///< none: the policy of a base chain
  Hook hook = Hook::kPrerouting;
  std::uint32_t before = kNone;               ///< the hop that led here
  Mark mark;                                  ///< of the packet at the rule
  Fit fit = Fit::kNo;                         ///< on this way; kByChance and kIfRemembered: on this way the rule fitted
  Part part = Part::kNone;                    ///< what failed or cannot be judged
  bool assumed = false;                       ///< kUnknown: on this way the rule is assumed to fit
  ToVerdict verdict{Verdict::kContinue, {}};  ///< what the rule did on this way
  bool translated = false;                    ///< it changed an address or a port
  bool marked = false;                        ///< it changed the mark
  std::vector<LookedUp> looked_up;
};

/// What becomes of the packet.
enum class End : std::uint8_t {
  kForwarded,  ///< leaves the node
  kLocal,      ///< reaches a process in the node's own network, if one listens
  kDropped,
  kRejected,
  kUnknown,  ///< something decides that cannot be followed here
};

/// Who ended it.
enum class Cause : std::uint8_t {
  kRules,          ///< or nobody: it arrived
  kForwardingOff,  ///< ip_forward is 0
  kNoRoute,        ///< rejected by the node with "network unreachable"
  kUnreachableRoute,
  kProhibitRoute,
  kBlackholeRoute,
  kReversePath,  ///< rp_filter
  kMartian,      ///< an address that may not come in by this interface (127.0.0.0/8, the node's own)
  kRouteUnknown,
};

/// One way that the packet may go.
struct Outcome {
  End end = End::kForwarded;
  Cause cause = Cause::kRules;
  double odds = 1;          ///< among the ways that are not `remembered`
  bool odds_known = true;   ///< false: a rule that cannot be judged leads here, or does not
  bool remembered = false;  ///< only for a client that was at this endpoint lately (session affinity)
  PacketState state;        ///< as it is in the end; the source address is still the original one after masquerading
  RouteAnswer route;        ///< kForwarded, kLocal: the last one
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

/// Walks the first packet of a connection through every base chain of its family, as the kernel does: hook by hook, in
/// the order of priorities, with connection tracking, nat and the routing decision between them. Rules that draw a
/// number or ask who came lately split the way. A rule that cannot be judged splits it, too: it fits or it does not,
/// and the odds are not known from there on.
///
/// Purpose: the answer to "what happens to this packet" for any source of rules.
/// Failure: none; rules from a hostile text end in `cut`. Cost: the rules met, for each way; ways that come to the same
/// rule in the same state after such a split are followed once.
[[nodiscard]] Walk walk(const Ruleset& ruleset, const Packet& packet, const Surroundings& surroundings);

}  // namespace kubenatd::rules::walk
