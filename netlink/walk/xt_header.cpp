#include <linux/if_packet.h>

#include "netlink/iptables/xt_layouts.h"
#include "netlink/walk/xt_layouts.h"
#include "netlink/walk/xt_part.h"
#include "rules/walk/xt/matches.h"

/// Matches of the network header, of the packet as a whole and of its mark.
namespace kubenatd::netlink::walk {
namespace {

namespace xt = rules::walk::xt;
namespace known = iptables::xt;

bool read_mark(const XtInfo& info, XtWriter& out) {
  const auto mark = info.as<known::Mark>();
  if (!mark) return false;
  out.say(mark->invert != 0, "--mark {}", masked_text(mark->value, mark->mask));
  out.add(xt::mark(mark->value, mark->mask, mark->invert != 0));
  return true;
}

std::string type_names(std::uint16_t types) {
  constexpr std::pair<std::uint32_t, std::string_view> kNames[] = {
      {1U << 0U, "UNSPEC"},   {1U << 1U, "UNICAST"},   {1U << 2U, "LOCAL"},     {1U << 3U, "BROADCAST"},
      {1U << 4U, "ANYCAST"},  {1U << 5U, "MULTICAST"}, {1U << 6U, "BLACKHOLE"}, {1U << 7U, "UNREACHABLE"},
      {1U << 8U, "PROHIBIT"}, {1U << 9U, "THROW"},     {1U << 10U, "NAT"},      {1U << 11U, "XRESOLVE"}};
  return names_of(types, kNames);
}

bool read_addrtype(const XtInfo& info, XtWriter& out) {
  std::uint16_t source = 0, destination = 0;
  bool not_source = false, not_destination = false, limit_in = false, limit_out = false;
  if (info.revision == 0) {
    const auto types = info.as<layout::AddrType0>();
    if (!types) return false;
    source = types->source;
    destination = types->destination;
    not_source = types->invert_source != 0;
    not_destination = types->invert_destination != 0;
  } else {
    const auto types = info.as<known::AddrType>();
    if (!types) return false;
    source = types->source;
    destination = types->destination;
    not_source = (types->flags & 1U) != 0;
    not_destination = (types->flags & 2U) != 0;
    limit_in = (types->flags & 4U) != 0;
    limit_out = (types->flags & 8U) != 0;
  }
  if (source != 0) {
    out.say(not_source, "--src-type {}", type_names(source));
    out.add(xt::address_type(true, source, not_source, limit_in, limit_out, info.family));
  }
  if (destination != 0) {
    out.say(not_destination, "--dst-type {}", type_names(destination));
    out.add(xt::address_type(false, destination, not_destination, limit_in, limit_out, info.family));
  }
  if (limit_in) out.say(false, "--limit-iface-in");
  if (limit_out) out.say(false, "--limit-iface-out");
  return true;
}

bool read_iprange(const XtInfo& info, XtWriter& out) {
  const auto range = info.as<layout::IpRange>();
  if (!range) return false;
  const auto one = [&](bool is_source, std::uint8_t flag, const layout::Address& first, const layout::Address& last) {
    if ((range->flags & flag) == 0) return;
    const bool negate = (range->flags & flag << 4U) != 0;
    const rules::Address from = info.address(first), until = info.address(last);
    out.say(negate, "--{}-range {}-{}", is_source ? "src" : "dst", from.to_string(), until.to_string());
    out.add(xt::address_range(is_source, from, until, negate));
  };
  one(true, 1, range->source_first, range->source_last);
  one(false, 2, range->destination_first, range->destination_last);
  return true;
}

bool read_length(const XtInfo& info, XtWriter& out) {
  const auto length = info.as<layout::Length>();
  if (!length) return false;
  out.say(length->invert != 0, "--length {}", range_text(length->first, length->last));
  out.add(xt::length(length->first, length->last, length->invert != 0));
  return true;
}

bool read_ttl(const XtInfo& info, XtWriter& out) {
  const auto ttl = info.as<layout::Ttl>();
  if (!ttl || ttl->mode > 3) return false;
  constexpr std::string_view kCompare[] = {"eq", "eq", "lt", "gt"};
  const auto compare = static_cast<xt::Compare>(ttl->mode);
  out.say(compare == xt::Compare::kNotEqual, "--{}-{} {}", info.name, kCompare[ttl->mode], ttl->value);
  out.add(xt::ttl(compare, ttl->value, info.family));
  return true;
}

bool read_dscp(const XtInfo& info, XtWriter& out) {
  const auto dscp = info.as<layout::Dscp>();
  if (!dscp) return false;
  out.say(dscp->invert != 0, "--dscp {:#04x}", dscp->value);
  out.add(xt::dscp(dscp->value, info.family, dscp->invert != 0));
  return true;
}

bool read_tos(const XtInfo& info, XtWriter& out) {
  const auto tos = info.as<layout::Tos>();
  if (!tos) return false;
  out.say(tos->invert != 0, "--tos {:#04x}/{:#04x}", tos->value, tos->mask);
  out.add(xt::tos(tos->value, tos->mask, info.family, tos->invert != 0));
  return true;
}

bool read_ecn(const XtInfo& info, XtWriter& out) {
  const auto ecn = info.as<layout::Ecn>();
  if (!ecn) return false;
  constexpr std::uint8_t kCodepoint = 0x01, kEce = 0x10, kCwr = 0x20;
  const auto negated = [&ecn](std::uint8_t bit) { return (ecn->invert & bit) != 0; };
  if ((ecn->operation & kEce) != 0) {
    out.say(negated(kEce), "--ecn-tcp-ece");
    out.add(xt::tcp_flags(0x40, 0x40, negated(kEce)));
  }
  if ((ecn->operation & kCwr) != 0) {
    out.say(negated(kCwr), "--ecn-tcp-cwr");
    out.add(xt::tcp_flags(0x80, 0x80, negated(kCwr)));
  }
  if ((ecn->operation & kCodepoint) != 0) {
    out.say(negated(kCodepoint), "--ecn-ip-ect {}", ecn->codepoint);
    out.add(xt::ecn_codepoint(ecn->codepoint, info.family, negated(kCodepoint)));
  }
  return true;
}

bool read_mac(const XtInfo& info, XtWriter& out) {
  const auto mac = info.as<layout::Mac>();
  if (!mac) return false;
  out.say(mac->invert != 0, "--mac-source {:02x}", fmt::join(mac->address, ":"));
  out.add(xt::source_mac({reinterpret_cast<const char*>(mac->address.data()), mac->address.size()}, mac->invert != 0));
  return true;
}

bool read_packet_type(const XtInfo& info, XtWriter& out) {
  const auto type = info.as<layout::Number>();
  if (!type || type->value > 0xff) return false;
  const bool negate = type->invert != 0;
  switch (type->value) {
    case PACKET_HOST: out.say(negate, "--pkt-type unicast"); break;
    case PACKET_BROADCAST: out.say(negate, "--pkt-type broadcast"); break;
    case PACKET_MULTICAST: out.say(negate, "--pkt-type multicast"); break;
    default: out.say(negate, "--pkt-type {}", type->value); break;
  }
  out.add(xt::packet_type(static_cast<std::uint8_t>(type->value), negate));
  return true;
}

}  // namespace

std::span<const XtKind> header_matches() {
  static constexpr XtKind kKinds[] = {{"mark", 1, 1, read_mark},
                                      {"addrtype", 0, 1, read_addrtype},
                                      {"iprange", 1, 1, read_iprange},
                                      {"length", 0, 0, read_length},
                                      {"ttl", 0, 0, read_ttl},
                                      {"hl", 0, 0, read_ttl},
                                      {"dscp", 0, 0, read_dscp},
                                      {"tos", 1, 1, read_tos},
                                      {"ecn", 0, 0, read_ecn},
                                      {"mac", 0, 0, read_mac},
                                      {"pkttype", 0, 0, read_packet_type}};
  return kKinds;
}

}  // namespace kubenatd::netlink::walk
