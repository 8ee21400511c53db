#include <algorithm>

#include "netlink/iptables/xt_layouts.h"
#include "netlink/walk/xt_part.h"
#include "netlink/walk/xt_target_layouts.h"
#include "rules/walk/xt/matches.h"

/// Targets that translate addresses, and TPROXY.
namespace kubenatd::netlink::walk {
namespace {

namespace xt = rules::walk::xt;
namespace known = iptables::xt;
using rules::Address;
using rules::walk::Nat;

// NF_NAT_RANGE_*
constexpr std::uint32_t kAddresses = 1U << 0U, kPorts = 1U << 1U, kRandom = 1U << 2U, kPersistent = 1U << 3U,
                        kRandomFully = 1U << 4U, kOffset = 1U << 5U;

/// nf_nat_range of any revision.
struct Range {
  std::uint32_t flags = 0;
  Address first, last;
  std::uint16_t first_port = 0, last_port = 0, base_port = 0;

  [[nodiscard]] bool has(std::uint32_t flag) const { return (flags & flag) != 0; }
};

Address ipv4(const std::array<std::uint8_t, 4>& bytes) {
  Address address;
  std::ranges::copy(bytes, address.bytes.begin());
  return address;
}

std::optional<Range> range_of(const XtInfo& info) {
  if (const auto old = info.as<known::NatRange4>()) {
    if (old->count != 1) return std::nullopt;
    return Range{old->flags, ipv4(old->first), ipv4(old->last), port_of(old->first_port), port_of(old->last_port), 0};
  }
  if (const auto range = info.as<known::NatRange>())
    return Range{range->flags,
                 info.address(range->first),
                 info.address(range->last),
                 port_of(range->first_port),
                 port_of(range->last_port),
                 0};
  if (const auto range = info.as<known::NatRange2>())
    return Range{range->flags,
                 info.address(range->first),
                 info.address(range->last),
                 port_of(range->first_port),
                 port_of(range->last_port),
                 port_of(range->base_port)};
  return std::nullopt;
}

/// "10.0.0.1-10.0.0.9:80-90", "[2001:db8::1]:80".
std::string range_words(const Range& range) {
  std::string text;
  if (range.has(kAddresses)) {
    const bool brackets = range.has(kPorts) && range.first.family == rules::Family::kIpv6;
    if (brackets) text += '[';
    text += range.first.to_string();
    if (range.last != range.first) text += "-" + range.last.to_string();
    if (brackets) text += ']';
  }
  if (range.has(kPorts)) {
    text += ":" + range_text(range.first_port, range.last_port, '-');
    if (range.has(kOffset)) text += "/" + std::to_string(range.base_port);
  }
  return text;
}

void add_nat(XtWriter& out, Nat::Kind kind, const Range& range) {
  std::optional<Address> first, last;
  if (range.has(kAddresses)) {
    first = range.first;
    last = range.last;
  }
  std::optional<std::uint16_t> first_port, last_port;
  if (range.has(kPorts)) {
    first_port = range.first_port;
    last_port = range.last_port;
  }
  // With a base port, which port of the range it becomes depends on the packet's, and one that lies in the range
  // already is not kept: as with a random one.
  out.add(xt::nat(kind, first, last, first_port, last_port, range.has(kRandom | kRandomFully | kOffset),
                  range.has(kPersistent)));
}

bool read_dnat(const XtInfo& info, XtWriter& out) {
  const auto range = range_of(info);
  if (!range) return false;
  out.say(false, "--to-destination {}", range_words(*range));
  if (range->has(kRandom)) out.say(false, "--random");
  if (range->has(kPersistent)) out.say(false, "--persistent");
  add_nat(out, Nat::Kind::kDestination, *range);
  return true;
}

bool read_snat(const XtInfo& info, XtWriter& out) {
  const auto range = range_of(info);
  if (!range) return false;
  out.say(false, "--to-source {}", range_words(*range));
  if (range->has(kRandom)) out.say(false, "--random");
  if (range->has(kRandomFully)) out.say(false, "--random-fully");
  if (range->has(kPersistent)) out.say(false, "--persistent");
  add_nat(out, Nat::Kind::kSource, *range);
  return true;
}

bool read_to_ports(const XtInfo& info, XtWriter& out, Nat::Kind kind) {
  const auto range = range_of(info);
  if (!range) return false;
  if (range->has(kPorts)) out.say(false, "--to-ports {}", range_text(range->first_port, range->last_port, '-'));
  if (range->has(kRandom)) out.say(false, "--random");
  if (range->has(kRandomFully)) out.say(false, "--random-fully");
  // Addresses of these targets are the node's, whatever the range says.
  Range ports = *range;
  ports.flags &= ~kAddresses;
  add_nat(out, kind, ports);
  return true;
}
bool read_masquerade(const XtInfo& info, XtWriter& out) {
  return read_to_ports(info, out, Nat::Kind::kMasquerade);
}
bool read_redirect(const XtInfo& info, XtWriter& out) {
  return read_to_ports(info, out, Nat::Kind::kRedirect);
}

bool read_netmap(const XtInfo& info, XtWriter& out) {
  const auto range = range_of(info);
  if (!range) return false;
  Address mask = range->first;
  for (std::size_t i = 0; i < mask.octets().size(); ++i)
    mask.bytes[i] = static_cast<std::uint8_t>(~(range->first.bytes[i] ^ range->last.bytes[i]));
  out.say(false, "--to {}{}", range->first.to_string(), mask_text(mask));
  // Of the source in POSTROUTING and INPUT; which hook it is, the judge of the packet knows.
  out.add(xt::netmap(false, range->first, mask));
  return true;
}

bool read_tproxy(const XtInfo& info, XtWriter& out) {
  Address address;
  std::uint16_t port = 0;
  std::uint32_t mark = 0, mask = 0;
  if (info.revision == 0) {
    const auto tproxy = info.as<layout::Tproxy0>();
    if (!tproxy) return false;
    address = ipv4(tproxy->address);
    port = port_of(tproxy->port);
    mark = tproxy->mark;
    mask = tproxy->mask;
  } else {
    const auto tproxy = info.as<layout::Tproxy1>();
    if (!tproxy) return false;
    address = info.address(tproxy->address);
    port = port_of(tproxy->port);
    mark = tproxy->mark;
    mask = tproxy->mask;
  }
  out.say(false, "--on-port {}", port);
  out.say(false, "--on-ip {}", address.to_string());
  out.say(false, "--tproxy-mark {:#x}/{:#x}", mark, mask);
  out.add(xt::tproxy(address, port, mark, mask));
  return true;
}

}  // namespace

std::span<const XtKind> nat_targets() {
  static constexpr XtKind kKinds[] = {
      {"DNAT", 0, 2, read_dnat},         {"SNAT", 0, 2, read_snat},     {"MASQUERADE", 0, 1, read_masquerade},
      {"REDIRECT", 0, 1, read_redirect}, {"NETMAP", 0, 1, read_netmap}, {"TPROXY", 0, 1, read_tproxy}};
  return kKinds;
}

}  // namespace kubenatd::netlink::walk
