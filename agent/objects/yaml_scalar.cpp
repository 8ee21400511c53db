#include "agent/objects/yaml_scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

namespace kubenatd::agent::objects {
namespace {

using nlohmann::json;

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::optional<json> resolve_integer(std::string_view text) {
  bool negative = false;
  if (text.front() == '+' || text.front() == '-') {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  int base = 10;
  if (text.size() > 1 && text.front() == '0') {
    const char mark = text[1];
    base = mark == 'x' || mark == 'X' ? 16 : mark == 'b' || mark == 'B' ? 2 : 8;
    text.remove_prefix(is_digit(mark) ? 1 : 2);
  }
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (!negative) return json(value);
  if (value > std::uint64_t{1} << 63) return std::nullopt;
  return json(static_cast<std::int64_t>(0 - value));
}

/// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
std::optional<json> resolve_float(std::string_view text) {
  const bool negative = text.front() == '-';
  if (text.front() == '+' || text.front() == '-') text.remove_prefix(1);
  const bool shaped = std::all_of(text.begin(), text.end(), [](char c) {
    return is_digit(c) || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-';
  });
  // from_chars takes neither "inf" (it has no digit) nor a second sign: the first character decides.
  if (!shaped || text.empty() || (!is_digit(text.front()) && text.front() != '.')) return std::nullopt;
  double value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size()) return std::nullopt;
  if (failure == std::errc::result_out_of_range)
    value = std::numeric_limits<double>::infinity();
  else if (failure != std::errc{})
    return std::nullopt;
  return json(negative ? -value : value);
}

}  // namespace

json resolve_plain_scalar(std::string_view text) {
  if (text.empty() || one_of(text, {"~", "null", "Null", "NULL"})) return nullptr;
  const char first = text.front();
  if (is_digit(first) || first == '-' || first == '+' || first == '.') {
    // Numbers longer than this mean nothing here; a long string of digits is not worth the work.
    constexpr std::size_t kLongestNumber = 64;
    if (text.size() > kLongestNumber) return std::string(text);
    std::string digits(text);
    std::erase(digits, '_');
    if (digits.size() > (is_digit(digits.empty() ? ' ' : digits.front()) ? 0U : 1U)) {
      if (auto number = resolve_integer(digits)) return std::move(*number);
      if (auto number = resolve_float(digits)) return std::move(*number);
    }
    if (one_of(text, {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"}))
      return std::numeric_limits<double>::infinity();
    if (one_of(text, {"-.inf", "-.Inf", "-.INF"})) return -std::numeric_limits<double>::infinity();
    if (one_of(text, {".nan", ".NaN", ".NAN"})) return std::numeric_limits<double>::quiet_NaN();
    return std::string(text);
  }
  if (one_of(text, {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"})) return true;
  if (one_of(text, {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"})) return false;
  return std::string(text);
}

}  // namespace kubenatd::agent::objects
