#include "netlink/iptables/xt_layouts.h"
#include "netlink/walk/xt_part.h"
#include "netlink/walk/xt_target_layouts.h"
#include "rules/walk/xt/matches.h"

/// Targets that refuse, hand packets to a program, log, or choose how a connection is tracked.
namespace kubenatd::netlink::walk {
namespace {

namespace xt = rules::walk::xt;
namespace known = iptables::xt;
using rules::walk::NoEffect;
using rules::walk::ToVerdict;
using rules::walk::Verdict;

bool read_reject(const XtInfo& info, XtWriter& out) {
  const auto reject = info.as<known::Reject>();
  if (!reject) return false;
  constexpr std::string_view kWith4[] = {"icmp-net-unreachable",
                                         "icmp-host-unreachable",
                                         "icmp-proto-unreachable",
                                         "icmp-port-unreachable",
                                         "",
                                         "icmp-net-prohibited",
                                         "icmp-host-prohibited",
                                         "tcp-reset",
                                         "icmp-admin-prohibited"};
  constexpr std::string_view kWith6[] = {"icmp6-no-route",
                                         "icmp6-adm-prohibited",
                                         "",
                                         "icmp6-addr-unreachable",
                                         "icmp6-port-unreachable",
                                         "",
                                         "tcp-reset",
                                         "icmp6-policy-fail",
                                         "icmp6-reject-route"};
  if (reject->with >= std::size(kWith4)) return false;
  const std::string_view with = info.family == rules::Family::kIpv4 ? kWith4[reject->with] : kWith6[reject->with];
  if (with.empty()) return false;
  out.say(false, "--reject-with {}", with);
  out.add(rules::walk::Refuse{std::string(with)});
  return true;
}

bool read_notrack(const XtInfo& info, XtWriter& out) {
  if (!info.bytes.empty()) return false;
  out.add(rules::walk::NoTrack{});
  return true;
}

void zone(XtWriter& out, std::uint16_t flags, std::uint16_t number) {
  constexpr std::uint16_t kOriginal = 4, kReply = 8, kMark = 16;
  if (number == 0 && (flags & kMark) == 0) return;
  std::string_view option = "--zone";
  if ((flags & kOriginal) != 0) option = "--zone-orig";
  if ((flags & kReply) != 0) option = "--zone-reply";
  if ((flags & kMark) != 0) {
    out.say(false, "{} mark", option);
  } else {
    out.say(false, "{} {}", option, number);
  }
}

bool read_ct(const XtInfo& info, XtWriter& out) {
  layout::Ct1 ct{};
  if (info.revision == 0) {
    const auto old = info.as<layout::Ct0>();
    if (!old) return false;
    ct.flags = old->flags;
    ct.zone = old->zone;
    ct.events = old->events;
    ct.expectation_events = old->expectation_events;
    ct.helper = old->helper;
  } else {
    const auto whole = info.as<layout::Ct1>();
    if (!whole) return false;
    ct = *whole;
  }
  constexpr std::uint16_t kNoTrack = 1, kAlias = 2;
  if ((ct.flags & kAlias) != 0) {
    out.head("-j NOTRACK");
    out.add(rules::walk::NoTrack{});
    return true;
  }
  if ((ct.flags & kNoTrack) != 0) {
    out.say(false, "--notrack");
    out.add(rules::walk::NoTrack{});
  }
  if (ct.helper[0] != 0) out.say(false, "--helper {}", text_of(ct.helper));
  if (ct.timeout[0] != 0) out.say(false, "--timeout {}", text_of(ct.timeout));
  // Bits of enum ip_conntrack_events and ip_conntrack_expect_events.
  constexpr std::pair<std::uint32_t, std::string_view> kEvents[] = {
      {1U << 0U, "new"},        {1U << 1U, "related"},   {1U << 2U, "destroy"}, {1U << 3U, "reply"},
      {1U << 4U, "assured"},    {1U << 5U, "protoinfo"}, {1U << 6U, "helper"},  {1U << 7U, "mark"},
      {1U << 8U, "natseqinfo"}, {1U << 9U, "secmark"}};
  constexpr std::pair<std::uint32_t, std::string_view> kExpectations[] = {{1U << 0U, "new"}};
  if (ct.events != 0) out.say(false, "--ctevents {}", names_of(ct.events, kEvents));
  if (ct.expectation_events != 0) out.say(false, "--expevents {}", names_of(ct.expectation_events, kExpectations));
  zone(out, ct.flags, ct.zone);
  if ((ct.flags & kNoTrack) == 0) out.add(NoEffect{});
  return true;
}

bool read_queue(const XtInfo& info, XtWriter& out) {
  const auto queue = info.as<layout::Queue>();
  if (!queue) return false;
  constexpr std::uint16_t kBypass = 1, kByProcessor = 2;
  const std::uint16_t total = info.revision > 0 ? queue->total : 1;
  const std::uint16_t flags = info.revision > 1 ? queue->flags : 0;
  if (total > 1) {
    out.say(false, "--queue-balance {}:{}", queue->first, queue->first + total - 1);
  } else {
    out.say(false, "--queue-num {}", queue->first);
  }
  const bool bypass = (flags & kBypass) != 0;
  if (bypass) out.say(false, "--queue-bypass");
  if ((flags & kByProcessor) != 0) out.say(false, "--queue-cpu-fanout");
  out.add(ToVerdict{bypass ? Verdict::kQueueBypass : Verdict::kQueue, {}});
  return true;
}

bool read_tee(const XtInfo& info, XtWriter& out) {
  const auto tee = info.as<layout::Tee>();
  if (!tee) return false;
  out.say(false, "--gateway {}", info.address(tee->gateway).to_string());
  if (tee->interface[0] != 0) out.say(false, "--oif {}", text_of(tee->interface));
  out.add(NoEffect{});
  return true;
}

bool read_log(const XtInfo& info, XtWriter& out) {
  const auto log = info.as<layout::Log>();
  if (!log) return false;
  constexpr std::uint8_t kUsualLevel = 4;
  if (log->prefix[0] != 0) {
    out.say(false, "--log-prefix");
    out.quoted(text_of(log->prefix));
  }
  if (log->level != kUsualLevel) out.say(false, "--log-level {}", log->level);
  if ((log->flags & 0x01U) != 0) out.say(false, "--log-tcp-sequence");
  if ((log->flags & 0x02U) != 0) out.say(false, "--log-tcp-options");
  if ((log->flags & 0x04U) != 0) out.say(false, "--log-ip-options");
  if ((log->flags & 0x08U) != 0) out.say(false, "--log-uid");
  if ((log->flags & 0x20U) != 0) out.say(false, "--log-macdecode");
  out.add(NoEffect{});
  return true;
}

bool read_nflog(const XtInfo& info, XtWriter& out) {
  const auto log = info.as<layout::Nflog>();
  if (!log) return false;
  if (log->prefix[0] != 0) {
    out.say(false, "--nflog-prefix");
    out.quoted(text_of(log->prefix));
  }
  if (log->group != 0) out.say(false, "--nflog-group {}", log->group);
  if ((log->flags & 1U) != 0) {
    out.say(false, "--nflog-size {}", log->length);
  } else if (log->length != 0) {
    out.say(false, "--nflog-range {}", log->length);
  }
  if (log->threshold != 0) out.say(false, "--nflog-threshold {}", log->threshold);
  out.add(NoEffect{});
  return true;
}

bool read_trace(const XtInfo& info, XtWriter& out) {
  if (!info.bytes.empty()) return false;
  out.add(NoEffect{});
  return true;
}

bool read_checksum(const XtInfo& info, XtWriter& out) {
  const auto checksum = info.as<layout::OneByte>();
  if (!checksum) return false;
  if ((checksum->value & 1U) != 0) out.say(false, "--checksum-fill");
  out.add(NoEffect{});
  return true;
}

bool read_tcpmss(const XtInfo& info, XtWriter& out) {
  const auto mss = info.as<layout::TcpMss>();
  if (!mss) return false;
  constexpr std::uint16_t kClamp = 0xffff;
  if (mss->size == kClamp) {
    out.say(false, "--clamp-mss-to-pmtu");
  } else {
    out.say(false, "--set-mss {}", mss->size);
  }
  out.add(NoEffect{});
  return true;
}

bool read_option_strip(const XtInfo& info, XtWriter& out) {
  const auto strip = info.as<layout::OptionStrip>();
  if (!strip) return false;
  std::string options;
  for (unsigned number = 0; number < 256; ++number) {
    if ((strip->options[number / 32] >> (number % 32) & 1U) == 0) continue;
    if (!options.empty()) options += ',';
    options += std::to_string(number);
  }
  out.say(false, "--strip-options {}", options);
  out.add(NoEffect{});
  return true;
}

bool read_synproxy(const XtInfo& info, XtWriter& out) {
  const auto proxy = info.as<layout::Synproxy>();
  if (!proxy) return false;
  if ((proxy->options & 0x04U) != 0) out.say(false, "--sack-perm");
  if ((proxy->options & 0x08U) != 0) out.say(false, "--timestamp");
  if ((proxy->options & 0x02U) != 0) out.say(false, "--wscale {}", proxy->window_scale);
  if ((proxy->options & 0x01U) != 0) out.say(false, "--mss {}", proxy->segment_size);
  if ((proxy->options & 0x10U) != 0) out.say(false, "--ecn");
  out.add(ToVerdict{Verdict::kStolen, {}});
  return true;
}

bool read_audit(const XtInfo& info, XtWriter& out) {
  const auto audit = info.as<layout::OneByte>();
  if (!audit || audit->value > 2) return false;
  constexpr std::string_view kTypes[] = {"accept", "drop", "reject"};
  out.say(false, "--type {}", kTypes[audit->value]);
  out.add(NoEffect{});
  return true;
}

constexpr std::uint16_t kNoSet = 0xffff;  // IPSET_INVALID_ID

void set_change(XtWriter& out, std::string_view option, const layout::SetReference& set) {
  if (set.index == kNoSet) return;
  out.say(false, "{} #{} ", option, set.index);
  for (unsigned i = 1; i <= set.dimensions && i < 8; ++i)
    out.more("{}{}", i == 1 ? "" : ",", (set.flags >> i & 1U) != 0 ? "src" : "dst");
}

bool read_set(const XtInfo& info, XtWriter& out) {
  layout::SetTarget3 set{};
  set.timeout = 0xffffffff;
  set.map.index = kNoSet;
  if (info.revision == 1) {
    const auto old = info.as<layout::SetTarget1>();
    if (!old) return false;
    set.add = old->add;
    set.del = old->del;
  } else if (info.revision == 2) {
    const auto old = info.as<layout::SetTarget2>();
    if (!old) return false;
    set.add = old->add;
    set.del = old->del;
    set.flags = old->flags;
    set.timeout = old->timeout;
  } else {
    const auto whole = info.as<layout::SetTarget3>();
    if (!whole) return false;
    set = *whole;
  }
  constexpr std::uint32_t kExist = 1U << 0U, kMapMark = 1U << 8U, kMapPriority = 1U << 9U, kMapQueue = 1U << 10U,
                          kNoTimeout = 0xffffffff;  // IPSET_FLAG_*
  set_change(out, "--add-set", set.add);
  if ((set.flags & kExist) != 0) out.say(false, "--exist");
  if (set.timeout != kNoTimeout) out.say(false, "--timeout {}", set.timeout);
  set_change(out, "--del-set", set.del);
  set_change(out, "--map-set", set.map);
  if ((set.flags & kMapMark) != 0) out.say(false, "--map-mark");
  if ((set.flags & kMapPriority) != 0) out.say(false, "--map-prio");
  if ((set.flags & kMapQueue) != 0) out.say(false, "--map-queue");
  const bool maps = set.map.index != kNoSet;
  const bool mark = maps && (set.flags & kMapMark) != 0, priority = maps && (set.flags & kMapPriority) != 0;
  if (mark) out.add(xt::other_target("SET", "SET --map-mark"));
  if (priority) out.add(xt::other_target("SET", "SET --map-prio"));
  if (!mark && !priority) out.add(NoEffect{});
  return true;
}

}  // namespace

std::span<const XtKind> other_targets() {
  static constexpr XtKind kKinds[] = {{"REJECT", 0, 0, read_reject},
                                      {"NOTRACK", 0, 0, read_notrack},
                                      {"CT", 0, 2, read_ct},
                                      {"NFQUEUE", 0, 3, read_queue},
                                      {"TEE", 1, 1, read_tee},
                                      {"LOG", 0, 0, read_log},
                                      {"NFLOG", 0, 0, read_nflog},
                                      {"TRACE", 0, 0, read_trace},
                                      {"CHECKSUM", 0, 0, read_checksum},
                                      {"TCPMSS", 0, 0, read_tcpmss},
                                      {"TCPOPTSTRIP", 0, 0, read_option_strip},
                                      {"SYNPROXY", 0, 0, read_synproxy},
                                      {"AUDIT", 0, 0, read_audit},
                                      {"SET", 1, 3, read_set}};
  return kKinds;
}

}  // namespace kubenatd::netlink::walk
