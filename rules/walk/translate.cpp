#include "rules/walk/translate.h"

#include <algorithm>

namespace kubenatd::rules::walk {
namespace {

[[nodiscard]] std::optional<Address> address_of(const std::optional<Value>& value, Family family) {
  if (!value) return std::nullopt;
  Address address{family, {}};
  const std::size_t size = address.octets().size();
  if (value->bits.size < size) return std::nullopt;
  if (value->known.slice(0, size) != Bytes::filled(size, 0xff)) return std::nullopt;
  std::copy_n(value->bits.data.begin(), size, address.bytes.begin());
  return address;
}

[[nodiscard]] std::optional<std::uint16_t> port_of(const std::optional<Value>& value) {
  if (!value || value->bits.size < 2 || value->known.slice(0, 2) != Bytes::filled(2, 0xff)) return std::nullopt;
  return static_cast<std::uint16_t>(value->bits.slice(0, 2).as_network());
}

/// Bits in which first and last are equal come from there, the others stay.
[[nodiscard]] Address netmap(const Address& now, const Address& first, const Address& last) {
  Address mapped = now;
  for (std::size_t i = 0; i < mapped.bytes.size(); ++i) {
    const auto host = static_cast<std::uint8_t>(first.bytes[i] ^ last.bytes[i]);
    mapped.bytes[i] = static_cast<std::uint8_t>((now.bytes[i] & host) | (first.bytes[i] & ~host));
  }
  return mapped;
}

/// The ports that a packet may have afterwards: one, or a range.
struct Ports {
  std::uint16_t first = 0;
  std::optional<std::uint16_t> last;
};

[[nodiscard]] std::optional<Ports> destination_ports(const Nat& nat, const NatValues& values,
                                                     const PacketState& state) {
  const std::uint16_t now = state.packet.destination_port;
  if (!values.port) return Ports{now, state.last_destination_port};
  const std::optional<std::uint16_t> first = port_of(values.port);
  const std::optional<std::uint16_t> last = values.last_port ? port_of(values.last_port) : first;
  if (!first || !last) return std::nullopt;
  const auto [low, high] = std::minmax(*first, *last);
  if (low == high) return Ports{low, {}};
  // A port that is in the range already is kept (get_unique_tuple), but by --random.
  const bool keeps = !nat.random && low <= now && now <= high && !state.last_destination_port;
  return keeps ? Ports{now, {}} : Ports{low, high};
}

[[nodiscard]] bool change_destination(const Nat& nat, const NatValues& values, PacketState& state) {
  Packet& packet = state.packet;
  const Family family = packet.destination.family;
  Address first = packet.destination;
  std::optional<Address> last = state.last_destination;
  if (values.address) {
    const std::optional<Address> given = address_of(values.address, family);
    const std::optional<Address> given_last = values.last_address ? address_of(values.last_address, family) : given;
    if (!given || !given_last) return false;
    if (nat.netmap) {
      if (state.last_destination || state.own_destination) return false;
      first = netmap(packet.destination, *given, *given_last);
    } else {
      first = std::min(*given, *given_last);
      last.reset();
      if (*given != *given_last) last = std::max(*given, *given_last);
      state.own_destination = false;
    }
  }
  const std::optional<Ports> ports = destination_ports(nat, values, state);
  if (!ports) return false;
  // The kernel sets the connection's DNAT bit only when something changes.
  if (first != packet.destination || ports->first != packet.destination_port || last || ports->last)
    state.destination_changed = true;
  packet.destination = first;
  packet.destination_port = ports->first;
  state.last_destination = last;
  state.last_destination_port = ports->last;
  return true;
}

/// To an address of the interface by which it came, or to loopback when it is sent here.
[[nodiscard]] bool redirect(const Nat& nat, const NatValues& values, PacketState& state,
                            const Surroundings& surroundings) {
  const std::optional<Ports> ports = destination_ports(nat, values, state);
  if (!ports) return false;
  Packet& packet = state.packet;
  const Family family = packet.destination.family;
  const Address before = packet.destination;
  if (state.hook == Hook::kOutput) {
    packet.destination = *Address::parse(family == Family::kIpv4 ? "127.0.0.1" : "::1");
  } else {
    std::vector<Address> own;
    for (const Address& address : surroundings.local)
      if (address.family == family && !address.is_loopback()) own.push_back(address);
    state.own_destination = own.size() != 1;
    if (!own.empty() && std::ranges::find(own, before) == own.end()) packet.destination = own.front();
  }
  state.last_destination.reset();
  if (packet.destination != before || state.own_destination || ports->first != packet.destination_port || ports->last)
    state.destination_changed = true;
  packet.destination_port = ports->first;
  state.last_destination_port = ports->last;
  return true;
}

void change_source(const Nat& nat, const NatValues& values, PacketState& state, const Surroundings& surroundings) {
  const Packet& packet = state.packet;
  const Family family = packet.source.family;
  const std::optional<Address> now = state.source_changed ? state.new_source : packet.source;
  std::optional<Address> becomes = now;
  if (nat.kind == Nat::Kind::kMasquerade) {
    state.masqueraded = true;
    RouteQuestion question;  // as if the node itself sent it: that is the address which is taken
    question.destination = packet.destination;
    question.mark = state.mark.bits;
    question.unknown_mark = state.mark.unknown;
    const RouteAnswer route = surroundings.route(question);
    // Of a packet to the node itself, the address is one of any interface (inet_select_addr).
    const bool same_way = route.kind == RouteAnswer::Kind::kForward && state.out_interface == route.interface;
    becomes = same_way && !state.last_destination ? route.source : std::nullopt;
  } else if (values.address) {
    const std::optional<Address> first = address_of(values.address, family);
    const std::optional<Address> last = values.last_address ? address_of(values.last_address, family) : first;
    becomes.reset();
    if (first && last && nat.netmap) {
      if (now) becomes = netmap(*now, *first, *last);
    } else if (first && last && now && *first <= *now && *now <= *last && !nat.random) {
      becomes = now;  // an address that is in the range already is kept
    } else if (first == last) {
      becomes = first;
    }
  }
  const bool ports_given = values.port.has_value();
  const std::optional<std::uint16_t> first_port = port_of(values.port);
  const std::optional<std::uint16_t> last_port = values.last_port ? port_of(values.last_port) : first_port;
  const bool port_known = packet.source_port_known && !state.source_port_unknown;
  const bool port_kept =
      !nat.random && (!ports_given || (port_known && first_port && last_port && *first_port <= packet.source_port &&
                                       packet.source_port <= *last_port));
  if (becomes == now && now && port_kept) return;  // nothing changes, as far as anybody knows
  state.source_changed = true;
  state.new_source = becomes;
  // The port is kept where it can be; another connection may have it.
  state.source_port_unknown = true;
}

}  // namespace

bool translate(const Nat& nat, const NatValues& values, PacketState& state, const Surroundings& surroundings) {
  // NETMAP of x_tables does not say which address it replaces: that follows from the hook (xt_NETMAP.c).
  const bool behind_routing = state.hook == Hook::kPostrouting || state.hook == Hook::kInput;
  switch (nat.netmap && behind_routing ? Nat::Kind::kSource : nat.kind) {
    case Nat::Kind::kDestination:
      if (!change_destination(nat, values, state)) return false;
      state.destination_done = true;
      return true;
    case Nat::Kind::kRedirect:
      if (!redirect(nat, values, state, surroundings)) return false;
      state.destination_done = true;
      return true;
    case Nat::Kind::kSource:
    case Nat::Kind::kMasquerade:
      change_source(nat, values, state, surroundings);
      state.source_done = true;
      return true;
  }
  return false;
}

}  // namespace kubenatd::rules::walk
