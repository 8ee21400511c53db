#include "agent/config/scalar.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <string_view>
#include <system_error>

namespace kubenatd::agent::config {
namespace {

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

/// "12", "-3", "0x1f", "0o17", "017", "0b11", "1_000".
std::optional<std::int64_t> whole_number(std::string_view written) {
  std::string digits;
  std::copy_if(written.begin(), written.end(), std::back_inserter(digits), [](char c) { return c != '_'; });
  std::string_view text = digits;
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16, text.remove_prefix(2);
  } else if (text.starts_with("0b") || text.starts_with("0B")) {
    base = 2, text.remove_prefix(2);
  } else if (text.starts_with("0o") || text.starts_with("0O")) {
    base = 8, text.remove_prefix(2);
  } else if (text.size() > 1 && text.starts_with('0')) {
    base = 8, text.remove_prefix(1);
  }
  if (text.empty() || text.front() == '-' || text.front() == '+') return std::nullopt;
  std::string number(text);
  if (negative) number.insert(number.begin(), '-');
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value, base);
  if (error != std::errc{} || end != number.data() + number.size()) return std::nullopt;
  return value;
}

std::optional<double> other_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  // Words that from_chars would take ("inf", "nan") are text; YAML's ".inf" is no number of JSON.
  if (text.empty() || text.find_first_not_of("0123456789.eE+-") != std::string_view::npos) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Scalar resolve(const YAML::Node& node) {
  if (!node.IsDefined() || node.IsNull()) return {};
  const std::string& text = node.Scalar();
  const std::string& tag = node.Tag();
  if (tag == "!" || tag == "tag:yaml.org,2002:str") return text;
  if (is_one_of(text, {"", "~", "null", "Null", "NULL"})) return {};
  if (is_one_of(text, {"true", "True", "TRUE", "y", "Y", "yes", "Yes", "YES", "on", "On", "ON"})) return true;
  if (is_one_of(text, {"false", "False", "FALSE", "n", "N", "no", "No", "NO", "off", "Off", "OFF"})) return false;
  if (const std::optional<std::int64_t> number = whole_number(text)) return *number;
  if (const std::optional<double> number = other_number(text)) return *number;
  return text;
}

bool is_null(const YAML::Node& node) {
  if (!node.IsDefined() || node.IsNull()) return true;
  return node.IsScalar() && std::holds_alternative<std::monostate>(resolve(node));
}

}  // namespace kubenatd::agent::config
