#include "rules/walk/routing.h"

#include <algorithm>

#include "rules/walk/fields.h"

namespace kubenatd::rules::walk {
namespace {

using Kind = RouteAnswer::Kind;

/// Sources that no packet may have: multicast, 255.255.255.255, 0.0.0.0/8.
[[nodiscard]] bool is_impossible_source(const Address& source) {
  if (source.family == Family::kIpv6) return source.bytes[0] == 0xff;
  const auto octets = source.octets();
  return octets[0] == 0 || (octets[0] & 0xf0) == 0xe0 ||
         std::ranges::all_of(octets, [](std::uint8_t byte) { return byte == 255; });
}

/// The answer for a destination that may be one of several: only what all have in common. `uncertain`: that is not even
/// the kind of route, or the kernel was asked in vain.
[[nodiscard]] RouteAnswer ask(const PacketState& state, const Surroundings& surroundings, bool& uncertain) {
  RouteQuestion question = route_question(state);
  RouteAnswer first = surroundings.route(question);
  uncertain = first.kind == Kind::kUnknown && surroundings.ask_route;
  if (!state.last_destination) return first;
  question.destination = *state.last_destination;
  const RouteAnswer last = surroundings.route(question);
  if (first.kind != last.kind) {
    uncertain = true;
    return {};
  }
  if (first.interface != last.interface) first.interface.clear();
  if (first.source != last.source) first.source.reset();
  if (first.gateway != last.gateway) first.gateway.reset();
  return first;
}

[[nodiscard]] std::optional<bool> localnet(const std::optional<std::string>& interface,
                                           const Surroundings& surroundings) {
  if (!interface || interface->empty() || !surroundings.route_localnet) return std::nullopt;
  return surroundings.route_localnet(*interface);
}

[[nodiscard]] Routed ended(End end, Cause cause) {
  Routed routed;
  routed.end = {end, cause};
  return routed;
}

/// Addresses that may not come in by the interface. Settles `end`, or leaves a doubt.
[[nodiscard]] Routed check_addresses(const PacketState& state, const Surroundings& surroundings) {
  Routed routed;
  const Packet& packet = state.packet;
  if (state.in_interface == "lo") return routed;
  if (is_impossible_source(packet.source)) return ended(End::kDropped, Cause::kMartian);
  if (!is_ipv4(state)) {
    // ::1 is dropped before any hook (ip6_rcv_core). Whether nat can lead there is not known.
    if (state.original.source.is_loopback() || state.original.destination.is_loopback())
      return ended(End::kDropped, Cause::kMartian);
    if (packet.destination.is_loopback()) routed.uncertain = Cause::kMartian;
    return routed;
  }
  if (packet.destination.is_loopback() || packet.source.is_loopback()) {
    const std::optional<bool> allowed = localnet(state.in_interface, surroundings);
    if (allowed == false) return ended(End::kDropped, Cause::kMartian);
    if (!allowed) routed.uncertain = Cause::kMartian;
  } else if (surroundings.is_local(packet.source)) {
    return ended(End::kDropped, Cause::kMartian);
  }
  return routed;
}

/// The way back to the source (fib_validate_source). None: nothing against it.
void check_reverse_path(const PacketState& state, const Surroundings& surroundings, Routed& routed) {
  if (!is_ipv4(state) || !state.in_interface || state.in_interface->empty() || state.in_interface == "lo") return;
  if (!surroundings.rp_filter || state.packet.source.is_loopback()) return;
  const int mode = surroundings.rp_filter(*state.in_interface).value_or(0);
  if (mode == 0) return;
  RouteQuestion question;
  question.destination = state.packet.source;
  const RouteAnswer back = surroundings.route(question);
  const bool other_way =
      back.kind == Kind::kForward && !back.interface.empty() && back.interface != *state.in_interface;
  if (back.kind == Kind::kUnknown) {
    if (!routed.uncertain) routed.uncertain = Cause::kReversePath;
  } else if (back.kind != Kind::kForward || (mode == 1 && other_way)) {
    routed.end = {End::kDropped, Cause::kReversePath};
  }
}

[[nodiscard]] std::optional<std::pair<End, Cause>> without_way(Kind kind) {
  switch (kind) {
    case Kind::kNone: return std::pair{End::kRejected, Cause::kNoRoute};
    case Kind::kUnreachable: return std::pair{End::kRejected, Cause::kUnreachableRoute};
    case Kind::kProhibit: return std::pair{End::kRejected, Cause::kProhibitRoute};
    case Kind::kBlackhole: return std::pair{End::kDropped, Cause::kBlackholeRoute};
    default: return std::nullopt;
  }
}

}  // namespace

Routed route_arrived(const PacketState& state, const Surroundings& surroundings) {
  Routed routed = check_addresses(state, surroundings);
  if (routed.end) return routed;
  bool unknown = false;
  if (state.own_destination) {
    routed.answer = {Kind::kLocal, "lo", {}, {}};
  } else {
    routed.answer = ask(state, surroundings, unknown);
  }
  if (routed.answer.source_refused) return ended(End::kDropped, Cause::kReversePath);
  Kind& kind = routed.answer.kind;
  // TPROXY gave it to a socket, and only a route may say that it goes elsewhere.
  const bool asked = static_cast<bool>(surroundings.ask_route) && kind != Kind::kUnknown;
  if (state.tproxy_port && !asked) routed.answer = {Kind::kLocal, "lo", {}, {}};
  if (kind == Kind::kBroadcast) {
    routed.uncertain = Cause::kRouteUnknown;  // who has joined the group is not known
    routed.local = true;
    return routed;
  }
  if (kind == Kind::kLocal) {
    routed.local = true;
    check_reverse_path(state, surroundings, routed);
    return routed;
  }
  if (surroundings.ip_forward == false) {
    routed.end = {End::kDropped, Cause::kForwardingOff};
    return routed;
  }
  routed.end = without_way(kind);
  if (routed.end) return routed;
  if (unknown) routed.uncertain = Cause::kRouteUnknown;
  check_reverse_path(state, surroundings, routed);
  // Its time to live ends here; the sender is told, which is nobody's rule.
  if (!routed.end && state.packet.ttl && *state.packet.ttl <= 1) routed.uncertain = Cause::kRouteUnknown;
  return routed;
}

Routed route_sent(const PacketState& state, const Surroundings& surroundings, bool again) {
  Routed routed;
  bool unknown = false;
  routed.answer = ask(state, surroundings, unknown);
  const Kind kind = routed.answer.kind;
  if (kind == Kind::kLocal || state.own_destination) {
    routed.local = true;
    return routed;
  }
  routed.end = without_way(kind);
  if (routed.end && again) routed.end->first = End::kDropped;
  if (routed.end) return routed;
  if (unknown || kind == Kind::kBroadcast) routed.uncertain = Cause::kRouteUnknown;
  // 127.0.0.0/8 leaves the node only where route_localnet lets it (__mkroute_output).
  if (is_ipv4(state) && state.packet.source.is_loopback() && localnet(routed.answer.interface, surroundings) == false)
    routed.end = {again ? End::kDropped : End::kRejected, Cause::kMartian};
  return routed;
}

}  // namespace kubenatd::rules::walk
