#include "agent/config/duration.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>

namespace kubenatd::agent::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t nanoseconds;
};

// Both spellings of micro that Go takes: U+00B5 and U+03BC.
constexpr std::array kUnits{
    Unit{"ns", 1},         Unit{"us", 1'000},        Unit{"\u00b5s", 1'000},    Unit{"\u03bcs", 1'000},
    Unit{"ms", 1'000'000}, Unit{"s", 1'000'000'000}, Unit{"m", 60'000'000'000}, Unit{"h", 3'600'000'000'000}};

// The smallest duration, without its sign; as Go has it, only behind a minus.
constexpr std::uint64_t kLargest = std::uint64_t{1} << 63U;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Takes "12.5m" off the front of `text`. None when there is no such thing or it is too large.
std::optional<std::uint64_t> take_part(std::string_view& text) {
  std::size_t at = 0;
  std::uint64_t whole = 0;
  for (; at < text.size() && is_digit(text[at]); ++at) {
    const auto digit = static_cast<std::uint64_t>(text[at] - '0');
    if (whole > (kLargest - digit) / 10) return std::nullopt;
    whole = whole * 10 + digit;
  }
  bool has_digits = at > 0;
  std::uint64_t fraction = 0;
  std::uint64_t scale = 1;
  if (at < text.size() && text[at] == '.') {
    for (++at; at < text.size() && is_digit(text[at]); ++at) {
      has_digits = true;
      // 18 digits are more than a nanosecond of an hour can show; the others are read and dropped.
      if (scale >= 1'000'000'000'000'000'000) continue;
      fraction = fraction * 10 + static_cast<std::uint64_t>(text[at] - '0');
      scale *= 10;
    }
  }
  if (!has_digits) return std::nullopt;
  text.remove_prefix(at);

  const std::size_t end = text.find_first_of(".0123456789");
  const std::string_view name = text.substr(0, end);
  for (const Unit& unit : kUnits) {
    if (unit.name != name) continue;
    text.remove_prefix(name.size());
    if (whole > kLargest / unit.nanoseconds) return std::nullopt;
    const std::uint64_t value = whole * unit.nanoseconds;
    const auto rest = static_cast<std::uint64_t>(static_cast<double>(fraction) *
                                                 (static_cast<double>(unit.nanoseconds) / static_cast<double>(scale)));
    if (rest > kLargest - value) return std::nullopt;
    return value + rest;
  }
  return std::nullopt;
}

/// "1.5", "2": `value` in units of `unit` without trailing zeros.
std::string in_unit(std::uint64_t value, std::uint64_t unit) {
  std::string text = fmt::format("{}", value / unit);
  std::uint64_t rest = value % unit;
  if (rest == 0) return text;
  text += '.';
  for (std::uint64_t digit = unit / 10; rest != 0; digit /= 10) {
    text += static_cast<char>('0' + rest / digit);
    rest %= digit;
  }
  return text;
}

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text == "0") return Duration::zero();
  if (text.empty()) return std::nullopt;
  std::uint64_t total = 0;
  while (!text.empty()) {
    const std::optional<std::uint64_t> part = take_part(text);
    if (!part || *part > kLargest - total) return std::nullopt;
    total += *part;
  }
  if (total == kLargest && !negative) return std::nullopt;
  // Negated as unsigned: the smallest value has no positive counterpart.
  return Duration(static_cast<std::int64_t>(negative ? std::uint64_t{0} - total : total));
}

std::string to_text(Duration duration) {
  const std::int64_t count = duration.count();
  if (count == 0) return "0s";
  // Negated as unsigned: the smallest value has no positive counterpart.
  const std::uint64_t value =
      count < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(count) : static_cast<std::uint64_t>(count);
  const std::string sign = count < 0 ? "-" : "";
  if (value < 1'000) return fmt::format("{}{}ns", sign, value);
  if (value < 1'000'000) return sign + in_unit(value, 1'000) + "\u00b5s";
  if (value < 1'000'000'000) return sign + in_unit(value, 1'000'000) + "ms";
  constexpr std::uint64_t kMinute = 60'000'000'000;
  const std::uint64_t minutes = value / kMinute;
  const std::string seconds = in_unit(value % kMinute, 1'000'000'000) + "s";
  if (minutes == 0) return sign + seconds;
  if (minutes < 60) return fmt::format("{}{}m{}", sign, minutes, seconds);
  return fmt::format("{}{}h{}m{}", sign, minutes / 60, minutes % 60, seconds);
}

}  // namespace kubenatd::agent::config
