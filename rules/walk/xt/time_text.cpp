#include "rules/walk/xt/time_text.h"

#include <algorithm>
#include <limits>

#include "rules/walk/xt/words.h"
#include "rules/words.h"

namespace kubenatd::rules::walk::xt {
namespace {

constexpr std::uint32_t kMinute = 60, kHour = 3600;

/// "17:00", "17:00:00": seconds of the day.
std::optional<std::uint32_t> read_clock(std::string_view text) {
  const auto parts = split(text, ':');
  if (parts.empty() || parts.size() > 3) return std::nullopt;
  constexpr std::uint32_t kMost[] = {23, 59, 59};
  constexpr std::uint32_t kUnits[] = {kHour, kMinute, 1};
  std::uint32_t seconds = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto number = read_number(parts[i], kMost[i]);
    if (!number) return std::nullopt;
    seconds += *number * kUnits[i];
  }
  return seconds;
}

/// Days since 1970-01-01; none: there is no such day.
std::optional<std::uint32_t> days_since_1970(std::uint32_t year, std::uint32_t month, std::uint32_t day) {
  constexpr std::uint32_t kLengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  const auto length = [&](std::uint32_t which) { return kLengths[which - 1] + (which == 2 && leap ? 1 : 0); };
  if (year < 1970 || month < 1 || month > 12 || day < 1 || day > length(month)) return std::nullopt;
  const auto leap_days_up_to = [](std::uint32_t last) { return last / 4 - last / 100 + last / 400; };
  std::uint32_t days = (year - 1970) * 365 + leap_days_up_to(year - 1) - leap_days_up_to(1969) + day - 1;
  for (std::uint32_t before = 1; before < month; ++before) days += length(before);
  return days;
}

/// "2025-01-02T03:04:05" and shorter: seconds since 1970.
std::optional<std::int64_t> read_date(std::string_view text) {
  const auto at = text.find('T');
  const auto parts = split(text.substr(0, at), '-');
  if (parts.size() > 3) return std::nullopt;
  std::uint32_t numbers[] = {1970, 1, 1};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto number = read_number(parts[i], 9999);
    if (!number) return std::nullopt;
    numbers[i] = *number;
  }
  const auto days = days_since_1970(numbers[0], numbers[1], numbers[2]);
  const auto clock = at == text.npos ? 0 : read_clock(text.substr(at + 1));
  if (!days || !clock) return std::nullopt;
  return std::int64_t{*days} * 24 * kHour + *clock;
}

std::optional<std::uint32_t> read_month_days(std::string_view text) {
  std::uint32_t bits = 0;
  for (const std::string_view part : split(text, ',')) {
    const auto day = read_number(part, 31);
    if (!day || *day == 0) return std::nullopt;
    bits |= 1U << *day;
  }
  return bits;
}

std::optional<std::uint8_t> read_weekdays(std::string_view text) {
  constexpr std::string_view kNames[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
  unsigned bits = 0;
  for (const std::string_view part : split(text, ',')) {
    const auto* named = std::ranges::find(kNames, part);
    auto day = read_number(part, 7);
    if (named != std::end(kNames)) day = static_cast<std::uint32_t>(named - kNames) + 1;
    if (!day || *day == 0) return std::nullopt;
    bits |= 1U << *day;
  }
  return static_cast<std::uint8_t>(bits);
}

template <class Number>
bool take(const std::optional<Number>& read, Number& into) {
  if (read) into = *read;
  return read.has_value();
}

bool take_option(const Option& option, InTime& time) {
  const std::string_view name = option.name;
  const std::string_view value = option.value();
  // 1.8.9 prints the days that are left; others print "!".
  constexpr std::uint32_t kAllMonthDays = 0xfffffffe;
  constexpr std::uint8_t kAllWeekdays = 0xfe;
  if (name == "--monthdays") {
    const bool good = take(read_month_days(value), time.month_days);
    if (option.negate) time.month_days ^= kAllMonthDays;
    return good;
  }
  if (name == "--weekdays") {
    const bool good = take(read_weekdays(value), time.weekdays);
    if (option.negate) time.weekdays ^= kAllWeekdays;
    return good;
  }
  if (option.negate) return false;
  if (name == "--timestart") return take(read_clock(value), time.day_from);
  if (name == "--timestop") return take(read_clock(value), time.day_until);
  if (name == "--datestart") return (time.from = read_date(value)).has_value();
  if (name == "--datestop") return (time.until = read_date(value)).has_value();
  if (name == "--kerneltz" || name == "--localtz") time.local_time = true;
  if (name == "--contiguous") time.contiguous = true;
  return true;
}

}  // namespace

std::optional<InTime> time_of(const Group& group) {
  InTime time;
  for (const Option& option : group.options)
    if (!take_option(option, time)) return std::nullopt;
  // What stands for "always"; 1.8.9 prints it, as 2038-01-19T03:14:07.
  if (time.until == std::numeric_limits<std::int32_t>::max()) time.until.reset();
  if (time.from == 0) time.from.reset();
  return time;
}

}  // namespace kubenatd::rules::walk::xt
