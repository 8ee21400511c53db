#pragma once

#include <optional>

#include "rules/walk/walker.h"

/// The kernel's decision where a packet goes, between the hooks. Pure.
namespace kubenatd::rules::walk {

struct Routed {
  RouteAnswer answer;
  bool local = false;
  std::optional<std::pair<End, Cause>> end;  ///< the packet goes nowhere
  /// Which way it goes could not be found out: the rules that follow are those of a guess.
  std::optional<Cause> uncertain;
};

/// After PREROUTING (ip_route_input_slow, ip_forward; ip6_route_input, ip6_forward).
[[nodiscard]] Routed route_arrived(const PacketState& state, const Surroundings& surroundings);
/// Of a packet that the node sends. `again`: after a rule changed what the first decision depends on
/// (ip_route_me_harder); without a way it is then dropped.
[[nodiscard]] Routed route_sent(const PacketState& state, const Surroundings& surroundings, bool again);

}  // namespace kubenatd::rules::walk
