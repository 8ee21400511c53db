#include "agent/documents/yaml_scalar.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>

#include "agent/base/base64.h"
#include "agent/base/printable.h"

namespace kubenatd::agent::documents {
namespace {

using nlohmann::json;

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, text) != words.end();
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// As Go's strconv.ParseInt and ParseUint read with base 0: a sign, then 0x, 0o, 0b, a 0 for octal, or decimal.
std::optional<json> read_integer(std::string_view text) {
  const bool has_sign = text.front() == '+' || text.front() == '-';
  const bool negative = text.front() == '-';
  if (has_sign) text.remove_prefix(1);
  int base = 10;
  if (text.size() > 1 && text.front() == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
    text.remove_prefix(mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1);
  }
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  if (negative) {
    if (value > kMost + 1) return std::nullopt;
    return json(static_cast<std::int64_t>(0 - value));
  }
  if (value <= kMost) return json(static_cast<std::int64_t>(value));
  return has_sign ? std::nullopt : std::optional(json(value));
}

/// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool is_float_text(std::string_view text) {
  const auto digits = [&text] {
    const auto end = std::ranges::find_if_not(text, is_digit);
    const auto count = static_cast<std::size_t>(end - text.begin());
    text.remove_prefix(count);
    return count;
  };
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  const std::size_t whole = digits();
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (digits() == 0 && whole == 0) return false;
  } else if (whole == 0) {
    return false;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  return text.empty();
}

/// Whether a float that is out of range is too small rather than too large: by where its first digit stands.
bool is_tiny(std::string_view text) {
  const auto mark = text.find_first_of("eE");
  const std::string_view mantissa = text.substr(0, mark);
  long long exponent = 0;
  if (mark != std::string_view::npos) {
    std::string_view written = text.substr(mark + 1);
    if (written.starts_with('+')) written.remove_prefix(1);
    const auto [end, failure] = std::from_chars(written.data(), written.data() + written.size(), exponent);
    if (failure == std::errc::result_out_of_range) return written.starts_with('-');
    constexpr long long kFar = 1'000'000'000'000;
    exponent = std::clamp(exponent, -kFar, kFar);
  }
  const auto point = std::min(mantissa.find('.'), mantissa.size());
  const auto first = mantissa.find_first_of("123456789");
  if (first == std::string_view::npos) return true;
  const auto place = static_cast<long long>(point) - static_cast<long long>(first);
  return place + exponent <= 0;
}

/// A decimal number as Go's strconv.ParseFloat reads it: out of range is none, too small is 0.
std::optional<json> read_float(std::string_view text) {
  if (!is_float_text(text)) return std::nullopt;
  const bool negative = text.front() == '-';
  if (text.front() == '+' || text.front() == '-') text.remove_prefix(1);
  double value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure == std::errc::result_out_of_range) {
    if (!is_tiny(text)) return std::nullopt;
    value = 0;
  }
  return json(negative ? -value : value);
}

}  // namespace

json resolve_plain_scalar(std::string_view text) {
  if (text.empty() || one_of(text, {"~", "null", "Null", "NULL"})) return nullptr;
  if (one_of(text, {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})) return true;
  if (one_of(text, {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})) return false;
  if (one_of(text, {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"})) return std::numeric_limits<double>::infinity();
  if (one_of(text, {"-.inf", "-.Inf", "-.INF"})) return -std::numeric_limits<double>::infinity();
  if (one_of(text, {".nan", ".NaN", ".NAN"})) return std::numeric_limits<double>::quiet_NaN();
  const char first = text.front();
  if (first == '.' || is_digit(first) || first == '-' || first == '+') {
    std::string digits(text);
    std::erase(digits, '_');
    if (first != '.')
      if (auto number = read_integer(digits)) return std::move(*number);
    if (auto number = read_float(digits)) return std::move(*number);
  }
  return std::string(text);
}

std::expected<json, std::string> resolve_tagged_scalar(std::string_view tag, std::string_view text) {
  constexpr std::string_view kPrefix = "tag:yaml.org,2002:";
  if (!tag.starts_with(kPrefix)) return std::string(text);
  const std::string_view type = tag.substr(kPrefix.size());
  if (type == "str") return std::string(text);
  if (type == "binary") {
    auto bytes = base::decode_base64(std::string(text));
    if (!bytes) return std::unexpected("!!binary value contains invalid base64 data");
    return std::move(*bytes);
  }
  if (!one_of(type, {"bool", "int", "float", "null", "timestamp"})) return std::string(text);
  json value = resolve_plain_scalar(text);
  // A time stays text. What is no possible time ("2024-99-99") is let through here, and only here.
  constexpr std::size_t kYear = 4;
  if (type == "timestamp" && text.size() > kYear && text[kYear] == '-' &&
      std::ranges::all_of(text.substr(0, kYear), is_digit))
    return value;
  // Go turns only whole numbers of 64 bits with sign into floats.
  const bool is_large = value.is_number_unsigned();
  const bool fits = type == "bool"    ? value.is_boolean()
                    : type == "int"   ? value.is_number_integer()
                    : type == "float" ? value.is_number() && !is_large
                    : type == "null"  ? value.is_null()
                                      : false;
  if (!fits) return std::unexpected(fmt::format("cannot read {} as !!{}", base::in_quotes(text), type));
  if (type == "float" && value.is_number_integer()) return json(value.get<double>());
  return value;
}

std::expected<std::string, std::string> key_of(const json& scalar) {
  if (scalar.is_string()) return scalar.get<std::string>();
  if (scalar.is_boolean()) return scalar.get<bool>() ? "true" : "false";
  if (scalar.is_number_unsigned() && scalar.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max())
    return std::unexpected("a key is a number that is too large");
  if (scalar.is_number_integer()) return std::to_string(scalar.get<std::int64_t>());
  if (!scalar.is_number_float()) return std::unexpected("a key is null");
  // As strconv.FormatFloat(value, 'g', -1, 32) does.
  const auto value = static_cast<float>(scalar.get<double>());
  if (std::isnan(value)) return ".nan";
  if (std::isinf(value)) return value < 0 ? "-.inf" : ".inf";
  std::array<char, 32> shortest{};
  const auto written =
      std::to_chars(shortest.data(), shortest.data() + shortest.size(), value, std::chars_format::scientific);
  const std::string_view scientific(shortest.data(), static_cast<std::size_t>(written.ptr - shortest.data()));
  const auto mark = scientific.find('e');
  int exponent = 0;
  const bool plus = scientific[mark + 1] == '+';
  std::from_chars(scientific.data() + mark + (plus ? 2 : 1), scientific.data() + scientific.size(), exponent);
  constexpr int kShortestExponent = 6;
  if (exponent < -4 || exponent >= kShortestExponent) return std::string(scientific);
  std::array<char, 64> fixed{};
  const auto end = std::to_chars(fixed.data(), fixed.data() + fixed.size(), value, std::chars_format::fixed);
  return std::string(fixed.data(), end.ptr);
}

}  // namespace kubenatd::agent::documents
