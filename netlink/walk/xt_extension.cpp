#include "netlink/walk/xt_layouts.h"
#include "netlink/walk/xt_part.h"
#include "rules/walk/xt/matches.h"

/// Matches of IPv6 extension headers. The packets of a walk have none, and without the header none of these matches
/// fits, negated or not.
namespace kubenatd::netlink::walk {
namespace {

namespace xt = rules::walk::xt;

bool read_routing(const XtInfo& info, XtWriter& out) {
  const auto routing = info.as<layout::Routing6>();
  if (!routing || routing->count > routing->hops.size()) return false;
  const auto negated = [&routing](std::uint8_t bit) { return (routing->invert & bit) != 0; };
  const auto asks = [&routing](std::uint8_t bit) { return (routing->flags & bit) != 0; };
  if (asks(0x01)) out.say(negated(1), "--rt-type {}", routing->type);
  if (asks(0x02)) out.say(negated(2), "--rt-segsleft {}", range_text(routing->left[0], routing->left[1]));
  if (asks(0x04)) out.say(negated(4), "--rt-len {}", routing->length);
  if (asks(0x08)) out.say(false, "--rt-0-res");
  if (asks(0x10)) {
    std::string hops;
    for (std::size_t i = 0; i < routing->count; ++i) {
      if (i != 0) hops += ',';
      hops += info.address(routing->hops[i]).to_string();
    }
    out.say(false, "--rt-0-addrs {}", hops);
  }
  if (asks(0x20)) out.say(false, "--rt-0-not-strict");
  out.never();
  return true;
}

bool read_fragment(const XtInfo& info, XtWriter& out) {
  const auto fragment = info.as<layout::Fragment6>();
  if (!fragment) return false;
  const auto asks = [&fragment](std::uint8_t bit) { return (fragment->flags & bit) != 0; };
  const bool not_id = (fragment->invert & 1U) != 0;
  if (fragment->first != 0 || fragment->last != 0xffffffff || not_id)
    out.say(not_id, "--fragid {}", range_text(fragment->first, fragment->last));
  if (asks(0x02)) out.say((fragment->invert & 2U) != 0, "--fraglen {}", fragment->length);
  if (asks(0x04)) out.say(false, "--fragres");
  if (asks(0x08)) out.say(false, "--fragfirst");
  if (asks(0x10)) out.say(false, "--fragmore");
  if (asks(0x20)) out.say(false, "--fraglast");
  out.never();
  return true;
}

/// Hop-by-hop and destination options.
bool read_options(const XtInfo& info, XtWriter& out) {
  const auto options = info.as<layout::Options6>();
  if (!options || options->count > options->options.size()) return false;
  const std::string_view prefix = info.name;
  if ((options->flags & 1U) != 0) out.say((options->invert & 1U) != 0, "--{}-len {}", prefix, options->length);
  if ((options->flags & 2U) != 0) {
    out.say(false, "--{}-opts ", prefix);
    for (std::size_t i = 0; i < options->count; ++i) {
      const std::uint16_t option = options->options[i];
      out.more("{}{}", i == 0 ? "" : ",", option >> 8U);
      if ((option & 0xffU) != 0xff) out.more(":{}", option & 0xffU);
    }
  }
  if ((options->flags & 4U) != 0) out.say(false, "--{}-not-strict", prefix);
  out.never();
  return true;
}

bool read_mobility(const XtInfo& info, XtWriter& out) {
  const auto mobility = info.as<layout::Mobility6>();
  if (!mobility) return false;
  if (mobility->first != 0 || mobility->last != 0xff || mobility->invert != 0)
    out.say((mobility->invert & 1U) != 0, "--mh-type {}", range_text(mobility->first, mobility->last));
  out.never();
  return true;
}

bool read_segment_routing(const XtInfo& /*info*/, XtWriter& out) {
  out.never();
  return true;
}

bool read_eui64(const XtInfo& /*info*/, XtWriter& out) {
  out.unjudged();  // the source address as made of the link address
  return true;
}

bool read_headers(const XtInfo& info, XtWriter& out) {
  const auto headers = info.as<layout::Headers6>();
  if (!headers) return false;
  constexpr std::pair<std::uint32_t, std::string_view> kNames[] = {
      {128, "hop-by-hop"}, {64, "ipv6-opts"}, {32, "ipv6-route"}, {16, "ipv6-frag"},
      {8, "ah"},           {4, "esp"},        {2, "ipv6-nonxt"},  {1, "protocol"}};
  out.say(headers->invert != 0, "--header {}", names_of(headers->match, kNames));
  if (headers->soft != 0) out.say(false, "--soft");
  // Of all these, a plain packet has the header of its transport protocol.
  constexpr unsigned kPlain = 1;
  bool fits = (kPlain == headers->match) != (headers->invert != 0);
  if (headers->soft != 0) fits = ((kPlain ^ headers->match ^ headers->invert) & headers->match) == 0;
  if (!fits) out.never();
  return true;
}

}  // namespace

std::span<const XtKind> extension_matches() {
  static constexpr XtKind kKinds[] = {{"rt", 0, 0, read_routing},         {"frag", 0, 0, read_fragment},
                                      {"hbh", 0, 0, read_options},        {"dst", 0, 0, read_options},
                                      {"mh", 0, 0, read_mobility},        {"eui64", 0, 0, read_eui64},
                                      {"ipv6header", 0, 0, read_headers}, {"srh", 0, 1, read_segment_routing}};
  return kKinds;
}

}  // namespace kubenatd::netlink::walk
