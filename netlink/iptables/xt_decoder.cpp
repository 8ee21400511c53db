#include "netlink/iptables/xt_decoder.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "netlink/iptables/xt_layouts.h"

namespace kubenatd::netlink::iptables {
namespace {

using rules::Family;
using rules::Rule;

constexpr std::array<std::uint16_t, 2> kAnyPort{0, 0xffff};

/// The structure, when the bytes are enough for it: info is aligned to four bytes only, and may be cut.
template <class Info>
std::optional<Info> as(std::string_view info) {
  if (info.size() < sizeof(Info)) return std::nullopt;
  std::optional<Info> value(std::in_place);
  std::memcpy(&*value, info.data(), sizeof(Info));
  return value;
}

/// Text up to its NUL, nothing when it is empty or has no end.
template <std::size_t N>
std::string_view text_of(const std::array<char, N>& bytes) {
  const auto end = std::find(bytes.begin(), bytes.end(), '\0');
  return end == bytes.end() ? std::string_view()
                            : std::string_view(bytes.data(), static_cast<std::size_t>(end - bytes.begin()));
}

bool add_ports(const std::array<std::uint16_t, 2>& destinations, rules::Protocol protocol, Rule& rule) {
  if (rule.protocol != protocol) return false;
  rules::PortMatch match{protocol, std::nullopt};
  if (destinations != kAnyPort) {
    if (destinations[0] != destinations[1]) return false;
    match.destination = destinations[0];
  }
  rule.matches.emplace_back(match);
  return true;
}

bool comment(std::string_view bytes, Rule& rule) {
  const std::size_t end = bytes.substr(0, sizeof(xt::Comment)).find('\0');
  if (end == std::string_view::npos) return false;
  rule.matches.emplace_back(rules::CommentMatch{std::string(bytes.substr(0, end))});
  return true;
}

bool tcp(std::string_view bytes, Rule& rule) {
  const auto info = as<xt::Tcp>(bytes);
  return info && info->sources == kAnyPort && info->option == 0 && info->flag_mask == 0 && info->flag_compare == 0 &&
         info->invert == 0 && add_ports(info->destinations, rules::Protocol::kTcp, rule);
}

bool udp(std::string_view bytes, Rule& rule) {
  const auto info = as<xt::Udp>(bytes);
  return info && info->sources == kAnyPort && info->invert == 0 &&
         add_ports(info->destinations, rules::Protocol::kUdp, rule);
}

bool sctp(std::string_view bytes, Rule& rule) {
  const auto info = as<xt::Sctp>(bytes);
  if (!info || info->invert != 0) return false;
  if (info->flags == 0) return add_ports(kAnyPort, rules::Protocol::kSctp, rule);
  return info->flags == xt::Sctp::kDestinationPorts && add_ports(info->destinations, rules::Protocol::kSctp, rule);
}

bool mark(std::string_view bytes, Rule& rule) {
  const auto info = as<xt::Mark>(bytes);
  if (!info || info->invert > 1) return false;
  rule.matches.emplace_back(rules::MarkMatch{info->value, info->mask, info->invert != 0});
  return true;
}

bool conntrack(std::string_view bytes, Rule& rule) {
  const auto info = as<xt::Conntrack>(bytes);
  if (!info || info->match != xt::Conntrack::kState || (info->invert & ~xt::Conntrack::kState) != 0) return false;
  // States that have no name, or none at all, have no text either.
  constexpr std::uint16_t kNamed = rules::kStateInvalid | rules::kStateEstablished | rules::kStateRelated |
                                   rules::kStateNew | rules::kStateSnat | rules::kStateDnat | rules::kStateUntracked;
  if (info->states == 0 || (info->states & ~kNamed) != 0) return false;
  rule.matches.emplace_back(rules::ConntrackMatch{info->states, info->invert != 0});
  return true;
}

bool addrtype(std::string_view bytes, Rule& rule) {
  const auto info = as<xt::AddrType>(bytes);
  if (!info || info->flags != 0) return false;
  const rules::AddrTypeMatch match{info->source != 0, info->destination != 0};
  if ((info->source | info->destination) != xt::AddrType::kLocal) return false;
  rule.matches.emplace_back(match);
  return true;
}

bool statistic(std::string_view bytes, Rule& rule) {
  const auto info = as<xt::Statistic>(bytes);
  if (!info || info->mode != 0 || info->flags != 0) return false;
  rule.matches.emplace_back(rules::StatisticMatch{info->probability});
  return true;
}

bool recent(std::string_view bytes, Family family, Rule& rule) {
  const auto info = as<xt::Recent>(bytes);
  if (!info || info->hits != 0 || info->invert != 0 || info->side != 0) return false;
  const std::size_t address_bytes = rules::bits_of(family) / 8U;
  if (std::any_of(info->mask.begin(), info->mask.begin() + address_bytes, [](auto byte) { return byte != 0xff; }))
    return false;
  const std::string_view name = text_of(info->name);
  if (name.empty()) return false;
  rules::RecentMatch match;
  match.name = name;
  if (info->check_set == xt::Recent::kSet) {
    if (info->seconds != 0) return false;
  } else {
    if ((info->check_set & ~xt::Recent::kReap) != xt::Recent::kCheck) return false;
    match.action = rules::RecentMatch::Action::kCheck;
    match.seconds = info->seconds;
    match.reap = (info->check_set & xt::Recent::kReap) != 0;
  }
  rule.matches.emplace_back(std::move(match));
  return true;
}

bool nfacct(std::string_view bytes, Rule& rule) {
  const auto info = as<xt::Nfacct>(bytes);
  const std::string_view name = info ? text_of(info->name) : std::string_view();
  if (name.empty()) return false;
  rule.matches.emplace_back(rules::NfacctMatch{std::string(name)});
  return true;
}

bool multiport(std::string_view bytes, Rule& rule) {
  const auto info = as<xt::Multiport>(bytes);
  if (!info || !rule.protocol || info->flags != xt::Multiport::kDestination || info->invert != 0) return false;
  if (info->count == 0 || info->count > info->ports.size()) return false;
  if (std::any_of(info->ranges.begin(), info->ranges.begin() + info->count, [](auto range) { return range != 0; }))
    return false;
  rule.matches.emplace_back(rules::MultiportMatch{{info->ports.begin(), info->ports.begin() + info->count}});
  return true;
}

bool masquerade(std::string_view bytes, Family family, Rule& rule) {
  std::uint32_t flags = 0;
  if (family == Family::kIpv4) {
    const auto range = as<xt::NatRange4>(bytes);
    if (!range || range->count != 1) return false;
    flags = range->flags;
  } else {
    const auto range = as<xt::NatRange>(bytes);
    if (!range) return false;
    flags = range->flags;
  }
  if ((flags & ~xt::kNatRandomFully) != 0) return false;
  rule.target = rules::MasqueradeTarget{flags != 0};
  return true;
}

template <class Range>
bool dnat(std::string_view bytes, Family family, Rule& rule) {
  const auto range = as<Range>(bytes);
  if (!range || range->flags != (xt::kNatAddresses | xt::kNatPorts)) return false;
  if (range->first != range->last || range->first_port != range->last_port) return false;
  if constexpr (requires { range->count; }) {
    if (range->count != 1) return false;
  }
  rules::DnatTarget target;
  target.address.family = family;
  const std::size_t size = std::min<std::size_t>(range->first.size(), rules::bits_of(family) / 8U);
  std::copy_n(range->first.begin(), size, target.address.bytes.begin());
  target.port = static_cast<std::uint16_t>(range->first_port[0] << 8 | range->first_port[1]);
  rule.target = target;
  return true;
}

/// iptables 1.8.9 writes revision 2 for both families, earlier versions 0 for IPv4 and 1 for IPv6.
bool dnat(const XtExtension& extension, Family family, Rule& rule) {
  switch (extension.revision) {
    case 0: return family == Family::kIpv4 && dnat<xt::NatRange4>(extension.info, family, rule);
    case 1: return family == Family::kIpv6 && dnat<xt::NatRange>(extension.info, family, rule);
    case 2: return dnat<xt::NatRange2>(extension.info, family, rule);
    default: return false;
  }
}

bool mark_target(std::string_view bytes, Rule& rule) {
  const auto info = as<xt::MarkTarget>(bytes);
  if (!info) return false;
  rule.target = rules::MarkTarget{info->value, info->mask};
  return true;
}

bool reject(std::string_view bytes, Family family, Rule& rule) {
  const auto info = as<xt::Reject>(bytes);
  const std::uint32_t expected =
      family == Family::kIpv4 ? xt::Reject::kPortUnreachable4 : xt::Reject::kPortUnreachable6;
  if (!info || info->with != expected) return false;
  rule.target = rules::RejectTarget{};
  return true;
}

}  // namespace

bool decode_xt_match(const XtExtension& extension, Family family, Rule& rule) {
  const std::string_view name = extension.name;
  const std::uint32_t revision = extension.revision;
  const std::string_view info = extension.info;
  if (name == "comment") return revision == 0 && comment(info, rule);
  if (name == "tcp") return revision == 0 && tcp(info, rule);
  if (name == "udp") return revision == 0 && udp(info, rule);
  if (name == "statistic") return revision == 0 && statistic(info, rule);
  if (name == "conntrack") return revision == 3 && conntrack(info, rule);
  if (name == "addrtype") return revision == 1 && addrtype(info, rule);
  if (name == "recent") return revision == 1 && recent(info, family, rule);
  if (name == "sctp") return revision == 0 && sctp(info, rule);
  if (name == "mark") return revision == 1 && mark(info, rule);
  if (name == "multiport") return revision == 1 && multiport(info, rule);
  if (name == "nfacct") return revision <= 1 && nfacct(info, rule);
  return false;
}

bool decode_xt_target(const XtExtension& extension, Family family, Rule& rule) {
  const std::string_view name = extension.name;
  if (name == "DNAT") return dnat(extension, family, rule);
  if (name == "MASQUERADE") return extension.revision == 0 && masquerade(extension.info, family, rule);
  if (name == "MARK") return extension.revision == 2 && mark_target(extension.info, rule);
  if (name == "REJECT") return extension.revision == 0 && reject(extension.info, family, rule);
  return false;
}

}  // namespace kubenatd::netlink::iptables
