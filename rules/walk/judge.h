#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rules/walk/ruleset.h"
#include "rules/walk/state.h"

namespace kubenatd::rules::walk {

/// Whether a packet fits a rule.
enum class Fit : std::uint8_t {
  kYes,
  kNo,
  kByChance,      ///< a number is drawn; this is one of the ways on which it fits
  kIfRemembered,  ///< only for a source that came here lately (-m recent, a dynamic map)
  kUnknown,       ///< a part of the rule cannot be judged
};

/// An element that a rule looked up.
struct LookedUp {
  const WalkSet* set = nullptr;
  Bytes key;
  bool found = false;
  SetElement element;  ///< when found
};

/// One way on which a packet may leave a rule.
struct Branch {
  Fit fit = Fit::kYes;
  Part part = Part::kNone;  ///< kNo, kUnknown: what decided
  bool assumed = false;     ///< kUnknown: on this way the rule is assumed to fit
  double odds = 1;          ///< of this way among those of the rule; all together 1, but for `remembered` ones
  bool odds_known = true;
  bool remembered = false;  ///< only for a client that was here lately
  /// `remembered`, and what was remembered is not known: a destination that is given to others further on.
  bool destination_from_memory = false;
  PacketState after;
  ToVerdict verdict{Verdict::kContinue, {}};
  const Refuse* refuse = nullptr;  ///< the packet is refused; `verdict` does not count
  bool nat_done = false;           ///< the packet leaves the hook's nat chains
  /// The verdict itself is not known: it comes out of a map whose answer nobody has, or the target is not understood.
  bool anything = false;
  std::vector<LookedUp> looked_up;
};

/// All ways on which the packet may leave the rule: usually one. A failing part decides before one that cannot be
/// judged, whatever their order. A rule that could decide nothing does not split (its unknown parts are passed over);
/// one that could only set the mark leaves one way, with those bits of the mark unknown.
///
/// Pure. Cost: linear in the rule; a drawn number is tried out value by value, equal ways are one.
[[nodiscard]] std::vector<Branch> judge(const Ruleset& ruleset, const WalkTable& table, const WalkRule& rule,
                                        const PacketState& state, const Surroundings& surroundings);

/// In words, why the packet does not fit ("the destination port is another one").
[[nodiscard]] std::string describe_mismatch(Part part, const Mark& mark);

}  // namespace kubenatd::rules::walk
