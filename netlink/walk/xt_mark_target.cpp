#include "netlink/iptables/xt_layouts.h"
#include "netlink/walk/xt_part.h"
#include "netlink/walk/xt_target_layouts.h"
#include "rules/walk/xt/matches.h"

/// Targets that change marks or fields of the network header.
namespace kubenatd::netlink::walk {
namespace {

namespace xt = rules::walk::xt;
namespace known = iptables::xt;

bool read_mark(const XtInfo& info, XtWriter& out) {
  const auto mark = info.as<known::MarkTarget>();
  if (!mark) return false;
  out.say(false, "--set-xmark {:#x}/{:#x}", mark->value, mark->mask);
  out.add(xt::set_mark(mark->value, mark->mask));
  return true;
}

bool read_connmark(const XtInfo& info, XtWriter& out) {
  layout::Connmark2 mark{};
  if (info.revision == 1) {
    const auto old = info.as<layout::Connmark1>();
    if (!old) return false;
    mark = {old->mark, old->mask, old->packet_mask, 0, 0, old->mode, 0};
  } else {
    const auto whole = info.as<layout::Connmark2>();
    if (!whole) return false;
    mark = *whole;
  }
  if (mark.shift > 31) return false;
  const int shift_by = mark.shift_right != 0 ? -static_cast<int>(mark.shift) : mark.shift;
  switch (mark.mode) {
    case 0:
      out.say(false, "--set-xmark {:#x}/{:#x}", mark.mark, mark.mask);
      out.add(xt::set_connmark(mark.mark, mark.mask, shift_by));
      break;
    case 1:
      out.say(false, "--save-mark --nfmask {:#x} --ctmask {:#x}", mark.packet_mask, mark.mask);
      out.add(xt::save_mark(mark.mask, mark.packet_mask, shift_by));
      break;
    case 2:
      out.say(false, "--restore-mark --nfmask {:#x} --ctmask {:#x}", mark.packet_mask, mark.mask);
      out.add(xt::restore_mark(mark.mask, mark.packet_mask, shift_by));
      break;
    default: return false;
  }
  if (mark.shift != 0) out.say(false, "--{}-shift-mark {}", mark.shift_right != 0 ? "right" : "left", mark.shift);
  return true;
}

bool read_ttl(const XtInfo& info, XtWriter& out) {
  const auto ttl = info.as<layout::Ttl>();
  if (!ttl || ttl->mode > 2) return false;
  constexpr std::string_view kModes[] = {"set", "inc", "dec"};
  const bool ipv4 = info.family == rules::Family::kIpv4;
  out.say(false, "--{}-{} {}", ipv4 ? "ttl" : "hl", kModes[ttl->mode], ttl->value);
  out.add(xt::set_ttl(info.family, ttl->mode == 0 ? std::optional(ttl->value) : std::nullopt));
  return true;
}

bool read_dscp(const XtInfo& info, XtWriter& out) {
  const auto dscp = info.as<layout::Dscp>();
  if (!dscp) return false;
  out.say(false, "--set-dscp {:#04x}", dscp->value);
  out.add(xt::set_tos(info.family, static_cast<std::uint8_t>(dscp->value << 2U), 0xfc));
  return true;
}

bool read_tos(const XtInfo& info, XtWriter& out) {
  const auto tos = info.as<layout::TosTarget>();
  if (!tos) return false;
  out.say(false, "--set-tos {:#04x}/{:#04x}", tos->value, tos->mask);
  out.add(xt::set_tos(info.family, tos->value, tos->mask));
  return true;
}

bool read_ecn(const XtInfo& info, XtWriter& out) {
  const auto ecn = info.as<layout::Ecn>();  // ipt_ECN_info has the codepoint in the second byte
  if (!ecn) return false;
  if ((ecn->operation & 0x30U) != 0) out.say(false, "--ecn-tcp-remove");
  if ((ecn->operation & 0x01U) != 0) {
    out.say(false, "--ecn-ip-ect {}", ecn->invert);
    out.add(xt::set_tos(info.family, static_cast<std::uint8_t>(ecn->invert & 3U), 3));
  } else {
    out.add(rules::walk::NoEffect{});  // flags that a first packet has or has not, nobody knows
  }
  return true;
}

bool read_classify(const XtInfo& info, XtWriter& out) {
  const auto classify = info.as<layout::Classify>();
  if (!classify) return false;
  out.say(false, "--set-class {:04x}:{:04x}", classify->priority >> 16U, classify->priority & 0xffffU);
  out.add(xt::set_priority(classify->priority));
  return true;
}

}  // namespace

std::span<const XtKind> header_targets() {
  static constexpr XtKind kKinds[] = {{"MARK", 2, 2, read_mark}, {"CONNMARK", 1, 2, read_connmark},
                                      {"TTL", 0, 0, read_ttl},   {"HL", 0, 0, read_ttl},
                                      {"DSCP", 0, 0, read_dscp}, {"TOS", 1, 1, read_tos},
                                      {"ECN", 0, 0, read_ecn},   {"CLASSIFY", 0, 0, read_classify}};
  return kKinds;
}

}  // namespace kubenatd::netlink::walk
