#include <algorithm>
#include <utility>

#include "rules/walk/xt/expressions.h"
#include "rules/walk/xt/matches.h"

namespace kubenatd::rules::walk::xt {
namespace {

/// `to` with `shift_by` (left when positive), as xt_connmark moves a mark.
ExpressionPtr shifted(ExpressionPtr of, int shift_by) {
  if (shift_by == 0) return of;
  return make(Shift{std::move(of), shift_by > 0, static_cast<std::uint32_t>(shift_by > 0 ? shift_by : -shift_by)});
}

ExpressionPtr either(ExpressionPtr one, ExpressionPtr other) {
  return make(BitsOfTwo{BitsOfTwo::Operation::kXor, std::move(one), std::move(other)});
}

/// (kept & ~mask) ^ moved
ExpressionPtr replaced(const ExpressionPtr& kept, std::uint32_t mask, ExpressionPtr moved) {
  if (mask == 0xffffffff) return moved;
  return either(host_bits(kept, ~mask), std::move(moved));
}

ExpressionPtr port_bytes(std::optional<std::uint16_t> port) {
  return port ? constant(Bytes::network(*port, 2)) : nullptr;
}

ExpressionPtr address_bytes(const std::optional<Address>& address) {
  return address ? constant(bytes_of(*address)) : nullptr;
}

ExpressionPtr unread(std::string text, std::uint16_t size) {
  return make(Unread{std::move(text), size});
}

/// LOG and others: what they do is nothing to the packet's way.
bool is_harmless(std::string_view name) {
  constexpr std::string_view kNames[] = {"",        "LOG",         "NFLOG",   "ULOG",       "TRACE",   "AUDIT",
                                         "TEE",     "CHECKSUM",    "TCPMSS",  "LED",        "RATEEST", "IDLETIMER",
                                         "SECMARK", "CONNSECMARK", "ACCOUNT", "TCPOPTSTRIP"};
  return std::ranges::find(kNames, name) != std::end(kNames);
}

}  // namespace

Statement set_mark(std::uint32_t value, std::uint32_t mask) {
  if (mask == 0xffffffff) return SetMeta{NFT_META_MARK, constant(Bytes::host(value))};
  return SetMeta{NFT_META_MARK, host_bits(meta(NFT_META_MARK), ~mask, value)};
}

Statement set_connmark(std::uint32_t value, std::uint32_t mask) {
  return set_connmark(value, mask, 0);
}

Statement set_connmark(std::uint32_t value, std::uint32_t mask, int shift_by) {
  const ExpressionPtr made =
      mask == 0xffffffff ? constant(Bytes::host(value)) : host_bits(connection(NFT_CT_MARK), ~mask, value);
  return SetCt{NFT_CT_MARK, shifted(made, shift_by)};
}

Statement save_mark(std::uint32_t connection_mask, std::uint32_t packet_mask) {
  return save_mark(connection_mask, packet_mask, 0);
}

Statement save_mark(std::uint32_t connection_mask, std::uint32_t packet_mask, int shift_by) {
  return SetCt{NFT_CT_MARK, replaced(connection(NFT_CT_MARK), connection_mask,
                                     shifted(host_bits(meta(NFT_META_MARK), packet_mask), shift_by))};
}

Statement restore_mark(std::uint32_t connection_mask, std::uint32_t packet_mask) {
  return restore_mark(connection_mask, packet_mask, 0);
}

Statement restore_mark(std::uint32_t connection_mask, std::uint32_t packet_mask, int shift_by) {
  return SetMeta{NFT_META_MARK, replaced(meta(NFT_META_MARK), packet_mask,
                                         shifted(host_bits(connection(NFT_CT_MARK), connection_mask), shift_by))};
}

Statement nat(Nat::Kind kind, const std::optional<Address>& first, const std::optional<Address>& last,
              std::optional<std::uint16_t> first_port, std::optional<std::uint16_t> last_port, bool random,
              bool persistent) {
  Nat nat{.kind = kind,
          .address = address_bytes(first),
          .last_address = last != first ? address_bytes(last) : nullptr,
          .port = port_bytes(first_port),
          .last_port = last_port != first_port ? port_bytes(last_port) : nullptr,
          .netmap = false,
          .random = random,
          .persistent = persistent};
  return nat;
}

Statement netmap(bool is_source, const Address& network, const Address& mask) {
  Bytes first = bytes_of(network);
  Bytes last = first;
  const Bytes bits = bytes_of(mask);
  for (std::size_t i = 0; i < first.size; ++i) {
    first.data[i] &= bits.data[i];
    last.data[i] = static_cast<std::uint8_t>(first.data[i] | static_cast<std::uint8_t>(~bits.data[i]));
  }
  return Nat{.kind = is_source ? Nat::Kind::kSource : Nat::Kind::kDestination,
             .address = constant(first),
             .last_address = constant(last),
             .port = nullptr,
             .last_port = nullptr,
             .netmap = true,
             .random = false,
             .persistent = false};
}

Statement tproxy(const Address& address, std::uint16_t port, std::uint32_t mark, std::uint32_t mask) {
  Tproxy made;
  if (!address.is_unspecified()) made.address = address_bytes(address);
  if (port != 0) made.port = port_bytes(port);
  if (mask != 0 || mark != 0) {
    made.mark = mark;
    made.mark_mask = mask;
  }
  return made;
}

Statement set_priority(std::uint32_t priority) {
  return SetMeta{NFT_META_PRIORITY, constant(Bytes::host(priority))};
}

Statement mark_of_socket() {
  return SetMeta{NFT_META_MARK, make(SocketField{NFT_SOCKET_MARK, 0})};
}

Statement set_ttl(Family family, std::optional<std::uint8_t> value) {
  const Payload where{Payload::Base::kNetwork, static_cast<std::uint16_t>(family == Family::kIpv4 ? 8 : 7), 1};
  return SetPayload{where, value ? constant(Bytes::network(*value, 1)) : unread("the time to live", 1)};
}

Statement set_tos(Family family, std::uint8_t value, std::uint8_t mask) {
  const auto kept = static_cast<std::uint8_t>(~mask);
  if (family == Family::kIpv4)
    return SetPayload{{Payload::Base::kNetwork, 1, 1},
                      bits(network(1, 1), Bytes::network(kept, 1), Bytes::network(value, 1))};
  return SetPayload{{Payload::Base::kNetwork, 0, 2},
                    bits(network(0, 2), Bytes::network(0xf00fU | static_cast<unsigned>(kept) << 4U, 2),
                         Bytes::network(static_cast<unsigned>(value) << 4U, 2))};
}

Statement other_target(std::string_view name, std::string text) {
  const auto says = [&text](std::string_view word) { return text.find(word) != std::string::npos; };
  if (is_harmless(name)) return NoEffect{std::move(text)};
  if (name == "ACCEPT") return ToVerdict{Verdict::kAccept, {}};
  if (name == "DROP") return ToVerdict{Verdict::kDrop, {}};
  if (name == "RETURN") return ToVerdict{Verdict::kReturn, {}};
  if (name == "QUEUE") return ToVerdict{Verdict::kQueue, {}};
  if (name == "NFQUEUE") return ToVerdict{says("--queue-bypass") ? Verdict::kQueueBypass : Verdict::kQueue, {}};
  if (name == "REJECT") return Refuse{};
  if (name == "SYNPROXY") return ToVerdict{Verdict::kStolen, {}};
  if (name == "NOTRACK" || (name == "CT" && says("--notrack"))) return NoTrack{};
  // Helpers, zones, events and timeouts: not on the way of a first packet.
  if (name == "CT") return NoEffect{std::move(text)};
  if (name == "MARK" || name == "HMARK" || name == "IPMARK") return SetMeta{NFT_META_MARK, unread(std::move(text), 4)};
  if (name == "CLASSIFY") return SetMeta{NFT_META_PRIORITY, unread(std::move(text), 4)};
  if (name == "SET" && says("--map-mark")) return SetMeta{NFT_META_MARK, unread(std::move(text), 4)};
  if (name == "SET" && says("--map-prio")) return SetMeta{NFT_META_PRIORITY, unread(std::move(text), 4)};
  if (name == "SET") return NoEffect{std::move(text)};
  if (name == "TTL") return set_ttl(Family::kIpv4, {});
  if (name == "HL") return set_ttl(Family::kIpv6, {});
  if (name == "ECN" && says("--ecn-tcp-remove") && !says("--ecn-ip-")) return NoEffect{std::move(text)};
  // This byte has the traffic class of IPv4, and a part of that of IPv6.
  if (name == "TOS" || name == "DSCP" || name == "ECN")
    return SetPayload{{Payload::Base::kNetwork, 1, 1}, unread(std::move(text), 1)};
  return OtherTarget{std::move(text)};
}

}  // namespace kubenatd::rules::walk::xt
