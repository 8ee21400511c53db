#include "rules/walk/fields.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "rules/walk/headers.h"
#include "rules/walk/key_sizes.h"

namespace kubenatd::rules::walk {
namespace {

constexpr std::size_t kNameSize = 16;  // IFNAMSIZ
constexpr std::size_t kLargestAddress = 16;

[[nodiscard]] Value number(std::uint32_t value) {
  return Value::of(Bytes::host(value));
}
[[nodiscard]] Value byte(std::uint8_t value) {
  return Value::of(Bytes::filled(1, value));
}
[[nodiscard]] Value eight(std::uint64_t value) {
  Bytes bytes = Bytes::filled(sizeof value, 0);
  std::memcpy(bytes.data.data(), &value, sizeof value);
  return Value::of(bytes);
}
/// A name of an interface, filled up with zeros.
[[nodiscard]] Value name(std::string_view text) {
  Bytes bytes(text.substr(0, kNameSize));
  bytes.size = kNameSize;
  return Value::of(bytes);
}

[[nodiscard]] bool is_multicast(const Address& address) {
  return address.family == Family::kIpv4 ? (address.bytes[0] & 0xf0) == 0xe0 : address.bytes[0] == 0xff;
}
/// 0.0.0.0/8 and 255.255.255.255, which are never looked up.
[[nodiscard]] bool is_always_broadcast(const Address& address) {
  return address.family == Family::kIpv4 && (address.bytes[0] == 0 || address.octets()[0] == 255) &&
         (address.bytes[0] == 0 || (address.bytes[1] == 255 && address.bytes[2] == 255 && address.bytes[3] == 255));
}

using InterfaceName = std::optional<std::string>;

[[nodiscard]] Value of_interface(std::uint32_t key, const InterfaceName& interface, const Surroundings& surroundings) {
  const bool is_name = key == NFT_META_IIFNAME || key == NFT_META_OIFNAME;
  const bool is_index = key == NFT_META_IIF || key == NFT_META_OIF;
  const bool is_type = key == NFT_META_IIFTYPE || key == NFT_META_OIFTYPE;
  const bool is_kind = key == NFT_META_IIFKIND || key == NFT_META_OIFKIND;
  const std::size_t size = is_name || is_kind ? kNameSize : is_type ? 2 : 4;
  if (!interface) return Value::unknown(size);
  if (is_name) return name(*interface);
  if (interface->empty()) return is_index ? number(0) : Value::none();
  if (!surroundings.interface_facts) return Value::unknown(size);
  const std::optional<Surroundings::Interface> facts = surroundings.interface_facts(*interface);
  if (!facts) return Value::unknown(size);
  if (is_index) return number(facts->index);
  if (is_kind) return facts->kind.empty() ? Value::none() : name(facts->kind);
  if (is_type) return Value::of(Bytes(std::string_view(reinterpret_cast<const char*>(&facts->type), 2)));
  return number(facts->group);
}

/// A socket is known for packets that are just being sent; the loopback device takes it off.
[[nodiscard]] Value of_socket_owner(const std::optional<std::uint32_t>& owner, const PacketState& state) {
  if (state.packet.origin == Packet::Origin::kArriving || state.looped) return Value::none();
  return owner ? number(*owner) : Value::unknown(4);
}

[[nodiscard]] Value of_time(std::uint32_t key, const Surroundings& surroundings) {
  if (!surroundings.now) return Value::unknown(key == NFT_META_TIME_NS ? 8 : key == NFT_META_TIME_DAY ? 1 : 4);
  constexpr std::int64_t kDay = 86400;
  if (key == NFT_META_TIME_NS) return eight(static_cast<std::uint64_t>(*surroundings.now) * 1'000'000'000U);
  if (key == NFT_META_TIME_HOUR)  // of the day, in UTC
    return number(static_cast<std::uint32_t>(*surroundings.now % kDay));
  const std::int64_t local = *surroundings.now - std::int64_t{60} * surroundings.minutes_west;
  return byte(static_cast<std::uint8_t>((4 + local / kDay) % 7));  // 1970 began on a Thursday
}

/// The port of a bridge: only of a packet that came through one, and only where br_netfilter shows bridged packets to
/// IP.
[[nodiscard]] Value of_bridge_port(const PacketState& state, const Surroundings& surroundings) {
  if (state.packet.origin == Packet::Origin::kLocal) return Value::none();
  const std::string& in = state.packet.in_interface;
  const bool known = !in.empty() && surroundings.is_bridge_port_filtered;
  if (known && surroundings.is_bridge_port_filtered(in) == false) return Value::none();
  return Value::unknown(kNameSize);
}

[[nodiscard]] Value packet_type(const PacketState& state) {
  const Address& destination = state.packet.destination;
  if (is_multicast(destination) || is_always_broadcast(destination)) return Value::unknown(1);
  return byte(PACKET_HOST);
}

[[nodiscard]] std::uint32_t connection_status(const PacketState& state) {
  std::uint32_t status = 0;
  if (state.looped) status |= IPS_CONFIRMED;
  if (state.destination_changed) status |= IPS_DST_NAT;
  if (state.source_changed) status |= IPS_SRC_NAT;
  if (state.destination_done) status |= IPS_DST_NAT_DONE;
  if (state.source_done) status |= IPS_SRC_NAT_DONE;
  return status;
}

/// Addresses and ports of the connection's two tuples. That of replies is the other one turned round, as nat has it.
[[nodiscard]] Value of_tuple(const Ct& ct, const PacketState& state) {
  const bool is_port = ct.key == NFT_CT_PROTO_SRC || ct.key == NFT_CT_PROTO_DST;
  const bool is_source =
      ct.key == NFT_CT_SRC || ct.key == NFT_CT_PROTO_SRC || ct.key == NFT_CT_SRC_IP || ct.key == NFT_CT_SRC_IP6;
  if (ct.key == NFT_CT_SRC_IP || ct.key == NFT_CT_DST_IP)
    if (!is_ipv4(state)) return Value::none();
  if (ct.key == NFT_CT_SRC_IP6 || ct.key == NFT_CT_DST_IP6)
    if (is_ipv4(state)) return Value::none();
  switch (ct.direction) {
    case Ct::Direction::kNone: return Value::unknown(is_port ? 2 : state.packet.source.octets().size());
    case Ct::Direction::kOriginal:
      if (is_port) {
        if (is_source && !state.original.source_port_known) return Value::unknown(2);
        return Value::of(Bytes::network(is_source ? state.original.source_port : state.original.destination_port, 2));
      }
      return address_value(is_source ? state.original.source : state.original.destination);
    case Ct::Direction::kReply:
      if (is_port) return is_source ? destination_port_value(state) : source_port_value(state);
      return is_source ? destination_value(state) : source_value(state);
  }
  return Value::unknown(4);
}

[[nodiscard]] Value address_type(const Address& address, const Fib& fib, const PacketState& state,
                                 const Surroundings& surroundings) {
  if (is_always_broadcast(address)) return number(RTN_BROADCAST);
  if (is_multicast(address)) return number(RTN_MULTICAST);
  const bool local = surroundings.is_local(address);
  // Addresses of one interface only: which one has it is not known, but for that of none.
  if ((fib.flags & (NFTA_FIB_F_IIF | NFTA_FIB_F_OIF)) != 0) {
    const InterfaceName& interface = (fib.flags & NFTA_FIB_F_IIF) != 0 ? state.in_interface : state.out_interface;
    if (local && !(interface && interface->empty())) return Value::unknown(4);
    if (!local) return surroundings.ask_route ? Value::unknown(4) : number(RTN_UNICAST);
  }
  if (local) {
    // The first address of an IPv6 prefix is anycast to fib (nft_fib_ipv6.c) and local to addrtype.
    const bool is_first = address.family == Family::kIpv6 && !address.is_loopback() &&
                          std::ranges::find(surroundings.local, address) == surroundings.local.end() &&
                          std::ranges::any_of(surroundings.local_prefixes, [&](const Prefix& prefix) {
                            return prefix.length < 127 && prefix.address == address;
                          });
    return is_first ? Value::unknown(4) : number(RTN_LOCAL);
  }
  if (!surroundings.ask_route) return number(RTN_UNICAST);
  RouteQuestion question;
  question.destination = address;
  const RouteAnswer answer = surroundings.route(question);
  using Kind = RouteAnswer::Kind;
  if (address.family == Family::kIpv4) {
    // Only the table of local routes is looked at (inet_dev_addr_type).
    switch (answer.kind) {
      case Kind::kUnknown: return Value::unknown(4);
      case Kind::kLocal: return number(RTN_LOCAL);
      case Kind::kBroadcast: return number(RTN_BROADCAST);
      default: return number(RTN_UNICAST);
    }
  }
  switch (answer.kind) {
    case Kind::kUnknown: return Value::unknown(4);
    case Kind::kLocal: return number(RTN_LOCAL);
    case Kind::kForward: return number(RTN_UNICAST);
    case Kind::kBroadcast: return number(RTN_ANYCAST);
    case Kind::kNone:
    case Kind::kUnreachable: return number(RTN_UNREACHABLE);
    case Kind::kProhibit: return number(RTN_PROHIBIT);
    case Kind::kBlackhole: return number(RTN_BLACKHOLE);
  }
  return Value::unknown(4);
}

/// The result when it is `interface`; empty: nothing was found.
[[nodiscard]] Value found_interface(const Fib& fib, const std::string& interface, const Surroundings& surroundings) {
  if ((fib.flags & NFTA_FIB_F_PRESENT) != 0) return byte(interface.empty() ? 0 : 1);
  if (fib.result == NFT_FIB_RESULT_OIFNAME) return name(interface);
  return of_interface(NFT_META_OIF, interface, surroundings);
}

}  // namespace

RouteQuestion route_question(const PacketState& state) {
  RouteQuestion question;
  question.destination = state.packet.destination;
  question.source = state.packet.source;
  if (state.packet.origin == Packet::Origin::kArriving) question.in_interface = state.in_interface.value_or("");
  question.mark = state.mark.bits;
  question.unknown_mark = state.mark.unknown;
  return question;
}

Value load(const Meta& meta, const PacketState& state, const Surroundings& surroundings) {
  const bool ipv4 = is_ipv4(state);
  switch (meta.key) {
    case NFT_META_LEN: return state.packet.length ? number(*state.packet.length) : Value::unknown(4);
    case NFT_META_PROTOCOL: return Value::of(Bytes::network(ipv4 ? ETH_P_IP : ETH_P_IPV6, 2));
    case NFT_META_PRIORITY: return of_mark(state.priority);
    case NFT_META_MARK: return of_mark(state.mark);
    case NFT_META_NFPROTO:
      if (state.hook == Hook::kIngress || state.hook == Hook::kEgress) return Value::unknown(1);
      return byte(ipv4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
    case NFT_META_L4PROTO: return byte(static_cast<std::uint8_t>(state.packet.protocol));
    case NFT_META_IIF:
    case NFT_META_IIFNAME:
    case NFT_META_IIFTYPE:
    case NFT_META_IIFGROUP:
    case NFT_META_IIFKIND: return of_interface(meta.key, state.in_interface, surroundings);
    case NFT_META_OIF:
    case NFT_META_OIFNAME:
    case NFT_META_OIFTYPE:
    case NFT_META_OIFGROUP:
    case NFT_META_OIFKIND: return of_interface(meta.key, state.out_interface, surroundings);
    case NFT_META_SKUID: return of_socket_owner(state.packet.user, state);
    case NFT_META_SKGID: return of_socket_owner(state.packet.group, state);
    case NFT_META_CGROUP: return of_socket_owner(std::nullopt, state);
    case NFT_META_PKTTYPE: return packet_type(state);
    case NFT_META_SECPATH: return surroundings.ipsec.value_or(false) ? Value::unknown(1) : byte(0);
    case NFT_META_TIME_NS:
    case NFT_META_TIME_DAY:
    case NFT_META_TIME_HOUR: return of_time(meta.key, surroundings);
    case NFT_META_NFTRACE: return Value::unknown(1);
    case NFT_META_BRI_IIFNAME:
    case NFT_META_BRI_OIFNAME: return of_bridge_port(state, surroundings);
    case NFT_META_SDIFNAME: return Value::unknown(kNameSize);
    case NFT_META_BRI_IIFPVID:
    case NFT_META_BRI_IIFVPROTO: return Value::unknown(2);
    default: return Value::unknown(4);
  }
}

namespace {

/// The first packet is counted before any rule sees it; where connections do not count (nf_conntrack_acct), none is.
Value packets_so_far(Ct::Direction direction) {
  constexpr std::uint64_t kAnswered = 0, kMaybeOne = 1;
  const std::uint64_t open = direction == Ct::Direction::kReply ? kAnswered : kMaybeOne;
  Value value = Value::of(Bytes::filled(sizeof open, 0));
  const std::uint64_t known = ~open;
  std::memcpy(value.known.data.data(), &known, sizeof known);
  return value;
}

}  // namespace

Value load(const Ct& ct, const PacketState& state) {
  using Tracking = PacketState::Tracking;
  if (ct.key == NFT_CT_STATE) {
    switch (state.tracking) {
      case Tracking::kNotYet: return number(NF_CT_STATE_INVALID_BIT);
      case Tracking::kTracked: return number(NF_CT_STATE_BIT(IP_CT_NEW));
      case Tracking::kUntracked: return number(NF_CT_STATE_UNTRACKED_BIT);
    }
  }
  if (state.tracking != Tracking::kTracked) return Value::none();
  switch (ct.key) {
    case NFT_CT_DIRECTION: return byte(0);  // IP_CT_DIR_ORIGINAL
    case NFT_CT_STATUS: return number(connection_status(state));
    case NFT_CT_MARK: return of_mark(state.connmark);
    case NFT_CT_L3PROTOCOL: return byte(is_ipv4(state) ? NFPROTO_IPV4 : NFPROTO_IPV6);
    case NFT_CT_PROTOCOL: return byte(static_cast<std::uint8_t>(state.packet.protocol));
    case NFT_CT_SRC:
    case NFT_CT_DST:
    case NFT_CT_SRC_IP:
    case NFT_CT_DST_IP:
    case NFT_CT_SRC_IP6:
    case NFT_CT_DST_IP6:
    case NFT_CT_PROTO_SRC:
    case NFT_CT_PROTO_DST: return of_tuple(ct, state);
    case NFT_CT_PKTS: return packets_so_far(ct.direction);
    default: return Value::unknown(size_of_ct(ct.key, kLargestAddress));
  }
}

Value load(const Fib& fib, const PacketState& state, const Surroundings& surroundings) {
  const bool of_destination = (fib.flags & NFTA_FIB_F_DADDR) != 0;
  const std::size_t size = (fib.flags & NFTA_FIB_F_PRESENT) != 0  ? 1
                           : fib.result == NFT_FIB_RESULT_OIFNAME ? kNameSize
                                                                  : 4;
  if (fib.result != NFT_FIB_RESULT_ADDRTYPE && state.looped && state.hook == Hook::kPrerouting)
    return found_interface(fib, "lo", surroundings);
  if (of_destination && state.own_destination && fib.result == NFT_FIB_RESULT_ADDRTYPE &&
      (fib.flags & (NFTA_FIB_F_IIF | NFTA_FIB_F_OIF)) == 0)
    return number(RTN_LOCAL);
  const Value address = of_destination ? destination_value(state) : source_value(state);
  if (!address.is_known()) return Value::unknown(size);
  const Address asked = of_destination
                            ? state.packet.destination
                            : (state.source_changed && state.new_source ? *state.new_source : state.packet.source);
  if (fib.result == NFT_FIB_RESULT_ADDRTYPE) return address_type(asked, fib, state, surroundings);
  if (!surroundings.ask_route) return Value::unknown(size);
  RouteQuestion question;
  question.destination = asked;
  if ((fib.flags & NFTA_FIB_F_MARK) != 0) {
    question.mark = state.mark.bits;
    question.unknown_mark = state.mark.unknown;
  }
  const RouteAnswer answer = surroundings.route(question);
  if (answer.kind == RouteAnswer::Kind::kUnknown || answer.kind == RouteAnswer::Kind::kBroadcast)
    return Value::unknown(size);
  if (answer.kind != RouteAnswer::Kind::kForward) return found_interface(fib, "", surroundings);
  if ((fib.flags & (NFTA_FIB_F_IIF | NFTA_FIB_F_OIF)) == 0) return found_interface(fib, answer.interface, surroundings);
  const InterfaceName& wanted = (fib.flags & NFTA_FIB_F_OIF) != 0 ? state.out_interface : state.in_interface;
  if (!wanted || answer.interface.empty()) return Value::unknown(size);
  return found_interface(fib, *wanted == answer.interface ? answer.interface : "", surroundings);
}

Value load(const SocketField& field, const PacketState& /*state*/) {
  switch (field.key) {
    case NFT_SOCKET_TRANSPARENT:
    case NFT_SOCKET_WILDCARD: return Value::unknown(1);
    case NFT_SOCKET_CGROUPV2: return Value::unknown(8);
    default: return Value::unknown(4);
  }
}

Value load(const RouteField& field, const PacketState& state, const Surroundings& surroundings) {
  const bool routed = state.hook != Hook::kIngress && state.hook != Hook::kPrerouting;
  if (!routed && !state.looped) return Value::none();
  switch (field.key) {
    case NFT_RT_NEXTHOP4: return is_ipv4(state) ? Value::unknown(4) : Value::none();
    case NFT_RT_NEXTHOP6: return is_ipv4(state) ? Value::none() : Value::unknown(16);
    case NFT_RT_TCPMSS: return Value::unknown(2);
    case NFT_RT_XFRM: return surroundings.ipsec.value_or(false) ? Value::unknown(1) : byte(0);
    default: return Value::unknown(4);
  }
}

Value load(const ExtensionHeader& header, const PacketState& state) {
  const Value missing = header.presence ? byte(0) : Value::none();
  const Protocol protocol = state.packet.protocol;
  switch (header.operation) {
    case NFT_EXTHDR_OP_TCPOPT:
      if (protocol != Protocol::kTcp) return missing;
      return Value::unknown(header.presence ? 1 : header.size);  // a SYN may have any
    case NFT_EXTHDR_OP_SCTP:
      if (protocol != Protocol::kSctp || header.type != 1) return missing;  // an INIT is alone in its packet
      return header.presence ? byte(1) : Value::unknown(header.size);
    default: return missing;  // the first packet has no options and no extension headers
  }
}

}  // namespace kubenatd::rules::walk
