#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "rules/former_walk/packet.h"
#include "rules/former_walk/ruleset.h"

namespace kubenatd::rules::former_walk {

/// Whether a packet fits a rule.
enum class Fit : std::uint8_t {
  kYes,
  kNo,
  kByChance,      ///< -m statistic decides
  kIfRemembered,  ///< -m recent --rcheck decides: only for a source that came here lately
  kUnknown,       ///< a part of the rule cannot be judged
};

/// The part of a rule that decided.
enum class Part : std::uint8_t {
  kNone,
  kSource,
  kDestination,
  kInInterface,
  kOutInterface,
  kProtocol,
  kSourcePort,
  kDestinationPort,
  kMark,
  kState,
  kSourceType,
  kDestinationType,
  kOther,
};

/// The packet and its connection at one rule.
struct PacketNow {
  Packet packet;                             ///< addresses, ports and mark as they are now
  std::optional<std::string> in_interface;   ///< none: not known; empty: there is none
  std::optional<std::string> out_interface;  ///< the same
  std::uint16_t states = kStateNew;          ///< with kStateDnat or kStateSnat after such a translation
  std::uint32_t unknown_mark = 0;            ///< bits of the mark that nobody can tell
};

struct Judgement {
  Fit fit = Fit::kYes;
  Part part = Part::kNone;
  double odds = 1;  ///< kByChance
};

/// When one part of a rule fails and another cannot be judged, the failing part decides, whatever their order.
[[nodiscard]] Judgement judge(const WalkRule& rule, const PacketNow& now, const Surroundings& surroundings);

/// In words, why the packet does not fit ("the destination port is another one").
[[nodiscard]] std::string describe_mismatch(Part part, std::uint32_t mark);

}  // namespace kubenatd::rules::former_walk
