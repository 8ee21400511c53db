#include <ctime>

#include "netlink/iptables/xt_layouts.h"
#include "netlink/walk/xt_layouts.h"
#include "netlink/walk/xt_part.h"
#include "rules/walk/xt/matches.h"

/// Matches of time, chance, memory and sets; and comments.
namespace kubenatd::netlink::walk {
namespace {

namespace xt = rules::walk::xt;
namespace known = iptables::xt;

bool read_comment(const XtInfo& info, XtWriter& out) {
  const auto comment = info.as<known::Comment>();
  if (!comment) return false;
  out.say(false, "--comment");
  out.quoted(text_of(comment->text));
  return true;
}

std::string date_text(std::uint32_t seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  gmtime_r(&time, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string daytime_text(std::uint32_t seconds) {
  return fmt::format("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

bool read_time(const XtInfo& info, XtWriter& out) {
  const auto time = info.as<layout::Time>();
  if (!time) return false;
  constexpr std::uint32_t kForever = 0x7fffffff, kDayEnd = 86399, kAllDays = 0xfffffffe;
  constexpr std::uint8_t kAllWeekdays = 0xfe, kLocal = 1, kContiguous = 2;
  rules::walk::InTime in;
  if (time->day_from != 0 || time->day_until != kDayEnd)
    out.say(false, "--timestart {} --timestop {}", daytime_text(time->day_from), daytime_text(time->day_until));
  in.day_from = time->day_from;
  in.day_until = time->day_until;
  if (time->month_days != kAllDays) {
    std::string days;
    for (unsigned day = 1; day < 32; ++day)
      if ((time->month_days >> day & 1U) != 0) days += (days.empty() ? "" : ",") + std::to_string(day);
    out.say(false, "--monthdays {}", days);
  }
  in.month_days = time->month_days;
  if (time->weekdays != kAllWeekdays) {
    constexpr std::pair<std::uint32_t, std::string_view> kNames[] = {{2, "Mon"},  {4, "Tue"},  {8, "Wed"},  {16, "Thu"},
                                                                     {32, "Fri"}, {64, "Sat"}, {128, "Sun"}};
    out.say(false, "--weekdays {}", names_of(time->weekdays & kAllWeekdays, kNames));
  }
  in.weekdays = time->weekdays;
  if (time->from != 0) {
    out.say(false, "--datestart {}", date_text(time->from));
    in.from = time->from;
  }
  // iptables 1.8.9 also prints the end that it sets when none is given.
  if (time->until != 0) out.say(false, "--datestop {}", date_text(time->until));
  if (time->until != kForever) in.until = time->until;
  in.local_time = (time->flags & kLocal) != 0;
  in.contiguous = (time->flags & kContiguous) != 0;
  if (in.local_time) out.say(false, "--kerneltz");
  if (in.contiguous) out.say(false, "--contiguous");
  out.add(in);
  return true;
}

bool read_statistic(const XtInfo& info, XtWriter& out) {
  const auto statistic = info.as<known::Statistic>();
  if (!statistic) return false;
  const bool negate = (statistic->flags & 1U) != 0;
  rules::walk::Chance chance;
  if (statistic->mode == 0) {
    chance.odds = statistic->probability / static_cast<double>(1U << 31U);
    out.say(false, "--mode random");
    out.say(negate, "--probability {:.11f}", chance.odds);
  } else if (statistic->mode == 1) {
    const std::uint64_t every = statistic->probability + std::uint64_t{1};
    if (statistic->packet >= every) return false;  // counts through all numbers first
    chance.odds = 1.0 / static_cast<double>(every);
    out.say(false, "--mode nth");
    out.say(negate, "--every {} --packet {}", every, statistic->packet);
  } else {
    return false;
  }
  if (chance.odds > 1) return false;
  if (negate) chance.odds = 1 - chance.odds;
  out.add(chance);
  return true;
}

bool read_recent(const XtInfo& info, XtWriter& out) {
  known::Recent recent;
  if (info.revision == 0) {
    const auto old = info.as<layout::Recent0>();
    if (!old) return false;
    recent.seconds = old->seconds;
    recent.hits = old->hits;
    recent.check_set = old->check_set;
    recent.invert = old->invert;
    recent.name = old->name;
    recent.side = old->side;
    recent.mask.fill(0xff);
  } else {
    const auto whole = info.as<known::Recent>();
    if (!whole) return false;
    recent = *whole;
  }
  constexpr std::uint8_t kUpdate = 0x04, kRemove = 0x08, kTtl = 0x10;
  const bool negate = recent.invert != 0;
  const auto asks = [&recent](std::uint8_t bit) { return (recent.check_set & bit) != 0; };
  if (asks(known::Recent::kSet)) out.say(negate, "--set");
  if (asks(known::Recent::kCheck)) out.say(negate, "--rcheck");
  if (asks(kUpdate)) out.say(negate, "--update");
  if (asks(kRemove)) out.say(negate, "--remove");
  if (recent.seconds != 0) out.say(false, "--seconds {}", recent.seconds);
  if (asks(known::Recent::kReap)) out.say(false, "--reap");
  if (recent.hits != 0) out.say(false, "--hitcount {}", recent.hits);
  if (asks(kTtl)) out.say(false, "--rttl");
  out.say(false, "--name {}", text_of(recent.name));
  out.say(false, "--mask {} {}", info.address(recent.mask).to_string(), recent.side == 0 ? "--rsource" : "--rdest");
  if (asks(known::Recent::kSet)) {
    // Every packet fits, and is remembered.
    if (negate) out.never();
  } else if (recent.side == 0 && mask_text(info.address(recent.mask)).empty()) {
    out.add(rules::walk::Remembered{std::string(text_of(recent.name)), negate});
  } else {
    out.unjudged();  // who else is of the same net, or asked for the same destination, nobody knows
  }
  return true;
}

void counter(XtWriter& out, std::string_view name, std::uint8_t operation, std::uint64_t value) {
  switch (operation) {
    case 1: return out.say(false, "--{}-eq {}", name, value);
    case 2: return out.say(true, "--{}-eq {}", name, value);
    case 3: return out.say(false, "--{}-lt {}", name, value);
    case 4: return out.say(false, "--{}-gt {}", name, value);
    default: return;
  }
}

bool read_set(const XtInfo& info, XtWriter& out) {
  layout::SetMatch4 match{};
  if (info.revision < 3) {
    const auto old = info.as<layout::SetMatch1>();
    if (!old) return false;
    match.set = old->set;
  } else if (info.revision == 3) {
    const auto old = info.as<layout::SetMatch3>();
    if (!old) return false;
    match.set = old->set;
    match.packets = {old->packets.value, old->packets.operation, {}};
    match.bytes = {old->bytes.value, old->bytes.operation, {}};
    match.flags = old->flags;
  } else {
    const auto whole = info.as<layout::SetMatch4>();
    if (!whole) return false;
    match = *whole;
  }
  constexpr std::uint8_t kInvert = 1, kReturnNomatch = 1U << 7U;  // IPSET_INV_MATCH, IPSET_RETURN_NOMATCH
  constexpr std::uint32_t kSkipCounters = 1U << 3U, kSkipSubcounters = 1U << 4U, kMatchCounters = 1U << 5U,
                          kNomatch = 1U << 7U;  // IPSET_FLAG_*
  constexpr unsigned kMostDimensions = 6;
  if (match.set.dimensions > kMostDimensions) return false;
  rules::walk::InIpset in{fmt::format("#{}", match.set.index), {}, (match.set.flags & kInvert) != 0, {}};
  std::string sides;
  for (unsigned i = 1; i <= match.set.dimensions; ++i) {
    const bool source = (match.set.flags >> i & 1U) != 0;
    in.source.push_back(source);
    sides += i == 1 ? "" : ",";
    sides += source ? "src" : "dst";
  }
  out.say(in.negate, "--match-set {} {}", in.name, sides);
  if ((match.flags & kNomatch) != 0) out.say(false, "--return-nomatch");
  if ((match.flags & kSkipCounters) != 0) out.say(true, "--update-counters");
  if ((match.flags & kSkipSubcounters) != 0) out.say(true, "--update-subcounters");
  counter(out, "packets", match.packets.operation, match.packets.value);
  counter(out, "bytes", match.bytes.operation, match.bytes.value);
  const bool more = (match.set.flags & kReturnNomatch) != 0 || (match.flags & (kNomatch | kMatchCounters)) != 0 ||
                    match.packets.operation != 0 || match.bytes.operation != 0;
  if (more) {
    out.unjudged(rules::walk::Part::kSet);
  } else {
    out.add(std::move(in));
  }
  return true;
}

bool read_nfacct(const XtInfo& info, XtWriter& out) {
  const auto accounting = info.as<known::Nfacct>();
  if (!accounting) return false;
  out.say(false, "--nfacct-name ");  // two blanks in all, as iptables 1.8.9 prints it
  out.quoted(text_of(accounting->name));
  out.add(xt::accounting(text_of(accounting->name)));
  return true;
}

}  // namespace

std::span<const XtKind> history_matches() {
  static constexpr XtKind kKinds[] = {
      {"comment", 0, 0, read_comment}, {"time", 0, 0, read_time}, {"statistic", 0, 0, read_statistic},
      {"recent", 0, 1, read_recent},   {"set", 1, 4, read_set},   {"nfacct", 0, 1, read_nfacct}};
  return kKinds;
}

}  // namespace kubenatd::netlink::walk
