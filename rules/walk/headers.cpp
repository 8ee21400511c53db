#include "rules/walk/headers.h"

#include <algorithm>
#include <cstring>

namespace kubenatd::rules::walk {
namespace {

/// One header while it is filled.
struct Writer {
  Value value;
  explicit Writer(std::size_t size) : value(Value::unknown(size)) {}
  void put(std::size_t at, const Value& part) {
    for (std::size_t i = 0; i < part.bits.size && at + i < value.bits.size; ++i) {
      value.bits.data[at + i] = part.bits.data[i];
      value.known.data[at + i] = part.known.data[i];
    }
  }
  void put(std::size_t at, std::uint8_t bits, std::uint8_t known = 0xff) {
    value.bits.data[at] = bits;
    value.known.data[at] = known;
  }
};

/// Leading bits that both ends of a range have in common; of the others nothing is known.
[[nodiscard]] Value between(const Bytes& first, const Bytes& last) {
  Value value = Value::of(first);
  for (std::size_t i = 0; i < first.size; ++i) {
    std::uint8_t other = first.data[i] ^ last.data[i];
    if (other == 0) continue;
    for (unsigned shift = 1; shift < 8; shift *= 2) other = static_cast<std::uint8_t>(other | other >> shift);
    value.known.data[i] = static_cast<std::uint8_t>(~other);
    value.bits.data[i] &= value.known.data[i];
    for (std::size_t rest = i + 1; rest < first.size; ++rest) value.bits.data[rest] = value.known.data[rest] = 0;
    break;
  }
  return value;
}

/// The kernel counts the hop down before FORWARD (ip_forward, ip6_forward).
[[nodiscard]] std::optional<std::uint8_t> ttl_at(const PacketState& state) {
  const bool forwarded =
      state.packet.origin == Packet::Origin::kArriving &&
      (state.hook == Hook::kForward || state.hook == Hook::kPostrouting || state.hook == Hook::kEgress);
  if (!state.packet.ttl || !forwarded) return state.packet.ttl;
  return static_cast<std::uint8_t>(*state.packet.ttl - 1);
}

}  // namespace

Value address_value(const Address& address) {
  return Value::of(Bytes(address.octets()));
}

Value of_mark(const Mark& mark) {
  Value value{Bytes::host(mark.bits & ~mark.unknown), Bytes::host(~mark.unknown), false};
  return value;
}

Value source_value(const PacketState& state) {
  if (!state.source_changed) return address_value(state.packet.source);
  if (state.new_source) return address_value(*state.new_source);
  return Value::unknown(state.packet.source.octets().size());
}

Value destination_value(const PacketState& state) {
  const Address& address = state.packet.destination;
  if (state.own_destination) return Value::unknown(address.octets().size());
  if (state.last_destination) return between(Bytes(address.octets()), Bytes(state.last_destination->octets()));
  return address_value(address);
}

Value source_port_value(const PacketState& state) {
  if (state.source_port_unknown || !state.packet.source_port_known) return Value::unknown(2);
  return Value::of(Bytes::network(state.packet.source_port, 2));
}

Value destination_port_value(const PacketState& state) {
  const Bytes first = Bytes::network(state.packet.destination_port, 2);
  if (state.last_destination_port) return between(first, Bytes::network(*state.last_destination_port, 2));
  return Value::of(first);
}

Value network_header(const PacketState& state) {
  const Packet& packet = state.packet;
  const std::optional<std::uint8_t> ttl = ttl_at(state);
  if (is_ipv4(state)) {
    Writer header(20);
    header.put(0, 0x45);
    if (packet.tos) header.put(1, *packet.tos);
    if (packet.length) header.put(2, Value::of(Bytes::network(*packet.length, 2)));
    header.put(6, 0, 0x3f);  // no fragment; "do not fragment" is as the sender likes
    header.put(7, 0);
    if (ttl) header.put(8, *ttl);
    header.put(9, static_cast<std::uint8_t>(packet.protocol));
    header.put(12, source_value(state));
    header.put(16, destination_value(state));
    return header.value;
  }
  Writer header(40);
  header.put(0, 0x60, 0xf0);
  if (packet.tos) {
    header.put(0, static_cast<std::uint8_t>(0x60U | *packet.tos >> 4U));
    header.put(1, static_cast<std::uint8_t>(*packet.tos << 4U), 0xf0);
  }
  if (packet.length && *packet.length >= 40)
    header.put(4, Value::of(Bytes::network(static_cast<std::uint64_t>(*packet.length - 40), 2)));
  header.put(6, static_cast<std::uint8_t>(packet.protocol));
  if (ttl) header.put(7, *ttl);
  header.put(8, source_value(state));
  header.put(24, destination_value(state));
  return header.value;
}

Value transport_header(const PacketState& state) {
  const auto with_ports = [&](std::size_t size) {
    Writer header(size);
    header.put(0, source_port_value(state));
    header.put(2, destination_port_value(state));
    return header;
  };
  switch (state.packet.protocol) {
    case Protocol::kTcp: {
      Writer header = with_ports(20);
      header.put(13, 0x02, 0x3f);  // SYN; ECE and CWR are set by senders that ask for ECN
      return header.value;
    }
    case Protocol::kUdp: {
      Writer header = with_ports(8);
      const std::uint16_t before = is_ipv4(state) ? 20 : 40;
      if (state.packet.length && *state.packet.length >= before)
        header.put(4, Value::of(Bytes::network(static_cast<std::uint64_t>(*state.packet.length - before), 2)));
      return header.value;
    }
    case Protocol::kSctp: {
      Writer header = with_ports(16);
      header.put(4, Value::of(Bytes::filled(4, 0)));  // an INIT has no verification tag yet (RFC 9260, 8.5.1)
      header.put(12, 1);
      return header.value;
    }
  }
  return Value::unknown(4);
}

Value load(const Payload& payload, const PacketState& state) {
  Value header;
  switch (payload.base) {
    case Payload::Base::kNetwork: header = network_header(state); break;
    case Payload::Base::kTransport: header = transport_header(state); break;
    case Payload::Base::kLink:
      // A packet that is sent has no link header before POSTROUTING is done (nft_payload_eval).
      if (state.packet.origin == Packet::Origin::kLocal && !state.looped) return Value::none();
      return Value::unknown(payload.size);
    case Payload::Base::kInner: return Value::unknown(payload.size);
  }
  Value part{header.bits.slice(payload.offset, payload.size), header.known.slice(payload.offset, payload.size), false};
  const std::uint8_t size = static_cast<std::uint8_t>(std::min<std::size_t>(payload.size, Bytes::kCapacity));
  part.bits.size = part.known.size = size;  // what lies behind the header is not known: zeros in both
  return part;
}

bool store(const Payload& where, const Value& value, PacketState& state) {
  if (where.base == Payload::Base::kLink || where.base == Payload::Base::kInner) return true;
  const bool network = where.base == Payload::Base::kNetwork;
  const Value before = network ? network_header(state) : transport_header(state);
  Writer header(before.bits.size);
  header.value = before;
  if (where.offset < before.bits.size) header.put(where.offset, value);
  const Value& after = header.value;
  const auto changed = [&](std::size_t at, std::size_t size) {
    return before.bits.slice(at, size) != after.bits.slice(at, size) ||
           before.known.slice(at, size) != after.known.slice(at, size);
  };
  const auto byte_if_known = [&](std::size_t at) -> std::optional<std::uint8_t> {
    if (after.known.data[at] != 0xff) return std::nullopt;
    return after.bits.data[at];
  };
  const auto known = [&](std::size_t at, std::size_t size) {
    return after.known.slice(at, size) == Bytes::filled(size, 0xff);
  };
  Packet& packet = state.packet;
  if (!network) {
    // Other fields matter to nobody here, but a changed flag or tag would.
    if (changed(4, before.bits.size - 4U) && packet.protocol != Protocol::kUdp) return false;
    if (!changed(0, 4)) return true;
    if (!known(0, 4)) return false;
    packet.source_port = static_cast<std::uint16_t>(after.bits.slice(0, 2).as_network());
    packet.source_port_known = true;
    state.source_port_unknown = false;
    packet.destination_port = static_cast<std::uint16_t>(after.bits.slice(2, 2).as_network());
    state.last_destination_port.reset();
    return true;
  }
  const bool ipv4 = is_ipv4(state);
  const std::size_t addresses = ipv4 ? 12 : 8;
  const std::size_t protocol_at = ipv4 ? 9 : 6;
  if (changed(protocol_at, 1) || changed(0, 1)) {
    // The traffic class of IPv6 begins in the first byte, behind the version.
    if (ipv4 || changed(protocol_at, 1) || (after.bits.data[0] & 0xf0) != 0x60) return false;
  }
  if (ipv4 && changed(6, 2) && (after.known.data[6] & 0x3f) != 0x3f) return false;
  const std::size_t ttl_offset = ipv4 ? 8 : 7;
  if (changed(ttl_offset, 1)) {
    packet.ttl = byte_if_known(ttl_offset);
    if (packet.ttl != ttl_at(state) && packet.ttl) ++*packet.ttl;  // ttl_at() takes it off again
  }
  if (ipv4) {
    if (changed(1, 1)) packet.tos = byte_if_known(1);
  } else if (changed(0, 2)) {
    packet.tos.reset();
    if (known(0, 1) && (after.known.data[1] & 0xf0) == 0xf0)
      packet.tos = static_cast<std::uint8_t>(after.bits.data[0] << 4U | after.bits.data[1] >> 4U);
  }
  const std::size_t size = packet.source.octets().size();
  if (changed(addresses, size)) {
    if (!known(addresses, size)) return false;
    std::copy_n(after.bits.data.begin() + static_cast<std::ptrdiff_t>(addresses), size, packet.source.bytes.begin());
    state.source_changed = false;
  }
  if (changed(addresses + size, size)) {
    if (!known(addresses + size, size)) return false;
    std::copy_n(after.bits.data.begin() + static_cast<std::ptrdiff_t>(addresses + size), size,
                packet.destination.bytes.begin());
    state.last_destination.reset();
    state.own_destination = false;
  }
  return true;
}

}  // namespace kubenatd::rules::walk
