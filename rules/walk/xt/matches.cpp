#include "rules/walk/xt/matches.h"

#include <algorithm>
#include <optional>

#include "rules/walk/xt/expressions.h"

namespace kubenatd::rules::walk::xt {
namespace {

using enum Family;

constexpr std::size_t kNameSize = 16;  ///< IFNAMSIZ

ExpressionPtr address_field(bool is_source, Family family, std::size_t size) {
  const std::uint16_t source = family == kIpv4 ? 12 : 8;
  const std::uint16_t width = family == kIpv4 ? 4 : 16;
  return network(is_source ? source : source + width, static_cast<std::uint16_t>(size));
}

Part address_part(bool is_source) {
  return is_source ? Part::kSource : Part::kDestination;
}

Bytes mask_of(std::uint8_t length, std::size_t size) {
  Bytes mask = Bytes::filled(size, 0);
  for (std::size_t bit = 0; bit < length && bit < size * 8; ++bit) mask.data[bit / 8] |= 0x80U >> (bit % 8);
  return mask;
}

Bytes masked(const Bytes& bytes, const Bytes& mask) {
  Bytes result = bytes;
  for (std::size_t i = 0; i < result.size; ++i) result.data[i] &= mask.data[i];
  return result;
}

/// The length of the prefix that the mask stands for; none when it has holes.
std::optional<std::uint8_t> prefix_length(const Address& mask) {
  std::uint8_t length = 0;
  bool ended = false;
  for (const std::uint8_t byte : mask.octets()) {
    for (unsigned bit = 0x80; bit != 0; bit >>= 1U) {
      if ((byte & bit) == 0) {
        ended = true;
      } else if (ended) {
        return std::nullopt;
      } else {
        ++length;
      }
    }
  }
  return length;
}

/// Whole bytes are loaded as they are, as iptables-nft does for such prefixes.
Statement in_prefix(bool is_source, const Prefix& prefix, bool negate) {
  const Part part = address_part(is_source);
  const Family family = prefix.address.family;
  if (prefix.length == 0) return always(negate, part);
  const Bytes whole = bytes_of(prefix.address);
  const std::size_t size = (prefix.length + 7U) / 8U;
  if (prefix.length % 8 == 0) return is(address_field(is_source, family, size), whole.slice(0, size), negate, part);
  return is(bits(address_field(is_source, family, whole.size), mask_of(prefix.length, whole.size)), whole, negate,
            part);
}

Statement interface(std::uint32_t key, std::string_view name, bool is_prefix, bool negate, Part part) {
  name = name.substr(0, kNameSize - 1);
  if (!is_prefix) {
    Bytes whole = Bytes::filled(kNameSize, 0);
    std::ranges::copy(name, whole.data.begin());
    return is(meta(key), whole, negate, part);
  }
  if (name.empty()) return always(negate, part);
  return is(make(Slice{meta(key), 0, static_cast<std::uint16_t>(name.size())}), Bytes(name), negate, part);
}

Condition port_condition(bool is_source, const PortRanges& ranges, bool negate) {
  Condition condition{payload(Payload::Base::kTransport, is_source ? 0 : 2, 2),
                      {},
                      negate,
                      is_source ? Part::kSourcePort : Part::kDestinationPort};
  for (const auto& [first, last] : ranges)
    condition.ranges.emplace_back(Bytes::network(first, 2), Bytes::network(last, 2));
  return condition;
}

/// The traffic class of IPv6 lies across two bytes, behind the version.
Statement traffic_class(std::uint8_t value, std::uint8_t mask, Family family, bool negate) {
  if (family == kIpv4) return is(bits(network(1, 1), Bytes::network(mask, 1)), Bytes::network(value, 1), negate);
  return is(bits(network(0, 2), Bytes::network(static_cast<std::uint64_t>(mask) << 4U, 2)),
            Bytes::network(static_cast<std::uint64_t>(value) << 4U, 2), negate);
}

}  // namespace

Statement source(const Prefix& prefix, bool negate) {
  return in_prefix(true, prefix, negate);
}

Statement destination(const Prefix& prefix, bool negate) {
  return in_prefix(false, prefix, negate);
}

Statement address_masked(bool is_source, const Address& address, const Address& mask, bool negate) {
  if (const auto length = prefix_length(mask)) return in_prefix(is_source, Prefix::of(address, *length), negate);
  const Bytes mask_bytes = bytes_of(mask);
  return is(bits(address_field(is_source, address.family, mask_bytes.size), mask_bytes),
            masked(bytes_of(address), mask_bytes), negate, address_part(is_source));
}

Statement in_interface(std::string_view name, bool is_prefix, bool negate) {
  return interface(NFT_META_IIFNAME, name, is_prefix, negate, Part::kInInterface);
}

Statement out_interface(std::string_view name, bool is_prefix, bool negate) {
  return interface(NFT_META_OIFNAME, name, is_prefix, negate, Part::kOutInterface);
}

Statement protocol(std::uint8_t number, Family /*family*/, bool negate) {
  if (number == 0) return always(false, Part::kProtocol);  // ip_packet_match() does not look at "!" then
  return is(meta(NFT_META_L4PROTO), Bytes::network(number, 1), negate, Part::kProtocol);
}

Statement fragment(bool negate) {
  if (!negate) return Never{"-f", Part::kOther};
  return always(false);  // a first packet is never the rest of another one
}

Statement ports(bool is_source, const PortRanges& ranges, bool negate) {
  return port_condition(is_source, ranges, negate);
}

Statement either_port(const PortRanges& ranges, bool negate) {
  return AnyOf{{port_condition(true, ranges, false), port_condition(false, ranges, false)}, negate, Part::kOther};
}

Statement tcp_flags(std::uint8_t mask, std::uint8_t set, bool negate) {
  return is(bits(payload(Payload::Base::kTransport, 13, 1), Bytes::network(mask, 1)), Bytes::network(set, 1), negate);
}

Statement tcp_option(std::uint8_t number, bool negate) {
  const ExtensionHeader option{
      .operation = NFT_EXTHDR_OP_TCPOPT, .type = number, .offset = 0, .size = 1, .presence = true};
  return is(make(option), Bytes::network(1, 1), negate);
}

Statement sctp_chunks(Chunks kind, const std::vector<std::uint8_t>& types, bool negate) {
  constexpr std::uint8_t kInit = 1;
  const bool named = std::ranges::find(types, kInit) != types.end();
  const bool alone = std::ranges::all_of(types, [](std::uint8_t type) { return type == kInit; });
  return always((kind == Chunks::kAll ? alone : named) == negate);
}

Statement tcp_segment_size(std::uint16_t first, std::uint16_t last, bool negate) {
  const ExtensionHeader option{.operation = NFT_EXTHDR_OP_TCPOPT, .type = 2, .offset = 2, .size = 2, .presence = false};
  Condition inside{make(option), {{Bytes::network(first, 2), Bytes::network(last, 2)}}, false, Part::kOther};
  return AnyOf{{std::move(inside)}, negate, Part::kOther};
}

Statement mark(std::uint32_t value, std::uint32_t mask, bool negate) {
  return is(host_bits(meta(NFT_META_MARK), mask), Bytes::host(value), negate, Part::kMark);
}

Statement address_type(bool is_source, std::uint16_t types, bool negate, bool limit_in, bool limit_out) {
  return address_type(is_source, types, negate, limit_in, limit_out, kIpv4);
}

Statement address_type(bool is_source, std::uint16_t types, bool negate, bool limit_in, bool limit_out, Family family) {
  const Part part = is_source ? Part::kSourceType : Part::kDestinationType;
  constexpr std::uint32_t kUnspecified = 0, kUnicast = 1, kLocal = 2, kAnycast = 4, kMulticast = 5, kBlackhole = 6,
                          kUnreachable = 7, kProhibit = 8;  // RTN_*
  const auto asks = [types](std::uint32_t type) { return (types >> type & 1U) != 0; };
  std::uint32_t flags = is_source ? NFTA_FIB_F_SADDR : NFTA_FIB_F_DADDR;
  if (limit_in) flags |= NFTA_FIB_F_IIF;
  if (limit_out) flags |= NFTA_FIB_F_OIF;
  Condition by_route{make(Fib{NFT_FIB_RESULT_ADDRTYPE, flags}), {}, false, part};
  const auto add = [&by_route](std::uint32_t type) {
    by_route.ranges.emplace_back(Bytes::host(type), Bytes::host(type));
  };
  if (family == kIpv4) {
    for (std::uint32_t type = 0; type < 16; ++type)
      if (asks(type)) add(type);
    by_route.negate = negate;
    return by_route;
  }
  // For IPv6 every type that is named must be right (xt_addrtype.c, match_type6), and some are told by the address
  // alone. That all are right is the same as that none is wrong.
  AnyOf wrong{{}, !negate, part};
  const ExpressionPtr whole = address_field(is_source, kIpv6, 16);
  if (asks(kMulticast)) {
    wrong.conditions.push_back(is(address_field(is_source, kIpv6, 1), Bytes::network(0xff, 1), true, part));
  }
  if (asks(kUnicast)) {
    // All but ff00::/8, :: and ::ffff:0:0/96 (ipv6_addr_type).
    Bytes multicast = Bytes::filled(16, 0), mapped = Bytes::filled(16, 0), mapped_last;
    multicast.data[0] = 0xff;
    mapped.data[10] = mapped.data[11] = 0xff;
    mapped_last = mapped;
    std::fill_n(mapped_last.data.begin() + 12, 4, 0xff);
    wrong.conditions.push_back(
        {whole,
         {{multicast, Bytes::filled(16, 0xff)}, {Bytes::filled(16, 0), Bytes::filled(16, 0)}, {mapped, mapped_last}},
         false,
         part});
  }
  if (asks(kUnspecified)) wrong.conditions.push_back(is(whole, Bytes::filled(16, 0), true, part));
  if (asks(kLocal)) add(kLocal);
  if (asks(kAnycast)) add(kAnycast);
  if (asks(kUnreachable))  // RTF_REJECT
    for (const std::uint32_t type : {kBlackhole, kUnreachable, kProhibit}) add(type);
  if (!by_route.ranges.empty()) {
    by_route.negate = true;
    wrong.conditions.push_back(std::move(by_route));
  }
  return wrong;
}

Statement address_range(bool is_source, const Address& first, const Address& last, bool negate) {
  return Condition{address_field(is_source, first.family, first.octets().size()),
                   {{bytes_of(first), bytes_of(last)}},
                   negate,
                   address_part(is_source)};
}

Statement length(std::uint16_t first, std::uint16_t last, bool negate) {
  return Condition{
      make(Swap{meta(NFT_META_LEN), 4}), {{Bytes::network(first, 4), Bytes::network(last, 4)}}, negate, Part::kOther};
}

Statement ttl(Compare compare, std::uint8_t value, Family family) {
  Condition condition = is(network(family == kIpv4 ? 8 : 7, 1), Bytes::network(value, 1), false);
  switch (compare) {
    case Compare::kEqual: break;
    case Compare::kNotEqual: condition.negate = true; break;
    case Compare::kLess:
      condition.ranges.clear();
      if (value > 0) condition.ranges.emplace_back(Bytes::network(0, 1), Bytes::network(value - 1U, 1));
      break;
    case Compare::kGreater:
      condition.ranges.clear();
      if (value < 255) condition.ranges.emplace_back(Bytes::network(value + 1U, 1), Bytes::network(255, 1));
      break;
  }
  return condition;
}

Statement dscp(std::uint8_t value, Family family, bool negate) {
  return traffic_class(static_cast<std::uint8_t>(value << 2U), 0xfc, family, negate);
}

Statement tos(std::uint8_t value, std::uint8_t mask, Family family, bool negate) {
  return traffic_class(value, mask, family, negate);
}

Statement ecn_codepoint(std::uint8_t value, Family family, bool negate) {
  return traffic_class(value, 0x03, family, negate);
}

Statement packet_type(std::uint8_t type, bool negate) {
  return is(meta(NFT_META_PKTTYPE), Bytes::network(type, 1), negate);
}

Statement source_mac(std::string_view six_bytes, bool negate) {
  return is(payload(Payload::Base::kLink, 6, 6), Bytes(six_bytes.substr(0, 6)), negate);
}

}  // namespace kubenatd::rules::walk::xt
