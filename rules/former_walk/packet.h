#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rules/rule.h"

namespace kubenatd::rules::former_walk {

/// The first packet of a connection.
struct Packet {
  enum class Origin : std::uint8_t {
    kArriving,  ///< comes in by an interface
    kLocal,     ///< sent by a process of the node's own network
  };
  Origin origin = Origin::kArriving;
  Protocol protocol = Protocol::kTcp;
  Address source;
  Address destination;
  std::uint16_t source_port = 40000;
  std::uint16_t destination_port = 0;
  std::string in_interface;  ///< kArriving; empty: not known
  std::uint32_t mark = 0;
};

/// What is known of the node that the rules stand on.
struct Surroundings {
  struct Route {
    Prefix destination;
    std::string interface;
  };
  std::vector<Address> local;  ///< addresses of its interfaces; loopback is local without being named
  std::vector<Route> routes;   ///< the longest prefix that fits counts; when none fits, the interface is not known

  [[nodiscard]] bool is_local(const Address& address) const;
  /// "lo" for local addresses; none: not known.
  [[nodiscard]] std::optional<std::string> interface_to(const Address& address) const;
};

}  // namespace kubenatd::rules::former_walk
