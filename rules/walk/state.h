#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rules/walk/packet.h"
#include "rules/walk/value.h"

namespace kubenatd::rules::walk {

/// A number of which some bits may not be known.
struct Mark {
  std::uint32_t bits = 0;
  std::uint32_t unknown = 0;  ///< mask; these bits are 0 in `bits`
  bool operator==(const Mark&) const = default;
};

/// The packet and its connection at one rule.
struct PacketState {
  Packet packet;  ///< addresses and ports as they are now
  Hook hook = Hook::kPrerouting;
  std::optional<std::string> in_interface;   ///< none: not known; empty: there is none
  std::optional<std::string> out_interface;  ///< the same
  bool looped = false;                       ///< sent by the node to itself, and coming in by lo

  Mark mark, connmark, priority;
  bool priority_recalled = false;  ///< `priority` is what packets have remembered of the client, which is not known

  // The connection.
  enum class Tracking : std::uint8_t { kNotYet, kTracked, kUntracked };
  Tracking tracking = Tracking::kNotYet;
  Packet original;                                           ///< as the connection began
  bool destination_done = false, source_done = false;        ///< nat has had its say (nf_nat_initialized)
  bool destination_changed = false, source_changed = false;  ///< IPS_DST_NAT, IPS_SRC_NAT
  bool masqueraded = false;
  std::optional<Address> new_source;  ///< of SNAT, when it is known
  /// DNAT to several addresses or ports: which one is not known; `packet` has the first.
  std::optional<Address> last_destination;
  std::optional<std::uint16_t> last_destination_port;
  bool source_port_unknown = false;
  std::optional<std::uint16_t> tproxy_port;  ///< TPROXY has given it to a socket there
  /// REDIRECT: `packet.destination` is an address of the node; which of them is not known.
  bool own_destination = false;
  /// Elements that rules have put into sets for this packet.
  std::vector<std::pair<const WalkSet*, Bytes>> updated;
};

[[nodiscard]] inline bool is_ipv4(const PacketState& state) {
  return state.packet.destination.family == Family::kIpv4;
}

}  // namespace kubenatd::rules::walk
