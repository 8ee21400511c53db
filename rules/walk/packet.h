#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rules/rule.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::rules::walk {

/// The first packet of a connection. What is not given cannot be judged where a rule asks for it.
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
  bool source_port_known = true;  ///< false: any; `source_port` is then an example for people
  std::uint16_t destination_port = 0;
  std::string in_interface;  ///< kArriving; empty: not known
  std::uint32_t mark = 0;
  std::optional<std::uint8_t> ttl;           ///< or hop limit, as it arrives
  std::optional<std::uint8_t> tos;           ///< traffic class, with ECN bits
  std::optional<std::uint16_t> length;       ///< of the IP packet, in bytes
  std::optional<std::uint32_t> user, group;  ///< kLocal: of the socket
};

/// Where the kernel sends a packet.
struct RouteAnswer {
  enum class Kind : std::uint8_t {
    kUnknown,      ///< could not be found out
    kLocal,        ///< to a process of this node
    kForward,      ///< out by `interface`
    kBroadcast,    ///< or multicast
    kNone,         ///< no route: ICMP tells the sender
    kUnreachable,  ///< route of type unreachable
    kProhibit,
    kBlackhole,
  };
  Kind kind = Kind::kUnknown;
  std::string interface;          ///< empty: not known
  std::optional<Address> source;  ///< that the node takes when it sends there itself, and for masquerading
  std::optional<Address> gateway;
  /// Of a packet that arrives: the kernel does not take its source from that interface (rp_filter, an address of the
  /// node, 127.0.0.0/8) and drops it without a word; the rest says where it would go.
  bool source_refused = false;
  bool neighbour_failed = false;  ///< the next hop was looked for and did not answer (its state is FAILED)
};

struct RouteQuestion {
  Address destination;
  std::optional<Address> source;
  std::optional<std::string> in_interface;  ///< of a packet that arrives; none: the node sends it itself
  std::uint32_t mark = 0;
  std::uint32_t unknown_mark = 0;  ///< bits of it that nobody can tell
};

/// What is known of the node that the rules stand on. Values and functions that answer questions; a function that is
/// not there means: not known.
struct Surroundings {
  struct Route {
    Prefix destination;
    std::string interface;
  };
  std::vector<Address> local;          ///< addresses of its interfaces; loopback is local without being named
  std::vector<Prefix> local_prefixes;  ///< routes of type local besides them (anycast)
  /// The kernel's own answer, in place of `local_prefixes`, in which longer routes may lead elsewhere.
  std::function<std::optional<bool>(const Address&)> ask_local;
  std::vector<Route> routes;  ///< the longest prefix that fits counts; none fits: the way out is not known
  /// The kernel's own answer, in place of `routes`.
  std::function<RouteAnswer(const RouteQuestion&)> ask_route;

  // Switches; none: not known, and taken as they are on a node that forwards for pods.
  std::optional<bool> ip_forward;  ///< of the packet's family
  /// By interface: what applies to packets that arrive there.
  std::function<std::optional<bool>(const std::string& interface)> route_localnet;
  std::function<std::optional<int>(const std::string& interface)> rp_filter;  ///< 0 off, 1 strict, 2 loose; IPv4 only
  std::function<std::optional<bool>(const std::string& interface)> is_bridge_port_filtered;  ///< br_netfilter
  std::optional<bool> ipsec;  ///< policies of xfrm are there

  /// Of an interface: its group, type, index, as rules ask for them (NFT_META_IIFGROUP, ...).
  struct Interface {
    std::uint32_t index = 0, group = 0;
    std::uint16_t type = 0;
    std::string kind;  ///< "bridge", "veth", ...; empty: none
  };
  std::function<std::optional<Interface>(const std::string& name)> interface_facts;

  /// Whether an ipset has the packet's addresses and ports; none: it cannot be told. `now` has them as they are at the
  /// rule.
  std::function<std::optional<bool>(const InIpset&, const Packet& now)> ipset_has;

  /// What sees packets of an interface besides all rules, and was not looked at: programs of XDP and traffic control.
  /// `leaving`: packets that go out by it, else those that come in.
  std::function<std::vector<NotLookedAt>(const std::string& interface, bool leaving)> programs_on;

  std::optional<std::int64_t> now;  ///< seconds since 1970, UTC
  std::int32_t minutes_west = 0;    ///< the kernel's time zone, for -m time --kerneltz

  [[nodiscard]] bool is_local(const Address& address) const;
  [[nodiscard]] RouteAnswer route(const RouteQuestion& question) const;
  /// "lo" for local addresses; none: not known.
  [[nodiscard]] std::optional<std::string> interface_to(const Address& address) const;
};

}  // namespace kubenatd::rules::walk
