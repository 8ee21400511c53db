#include "agent/config/go_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <system_error>

#include "rules/words.h"

namespace kubenatd::agent::config {
namespace {

constexpr const char* kNotWhole = "it is not a whole number";
constexpr const char* kNotNumber = "it is not a number";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_hex_digit(char c) {
  return is_digit(c) || (rules::lower_case(c) >= 'a' && rules::lower_case(c) <= 'f');
}

bool takes_sign(std::string_view& text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  return negative;
}

/// "0x", "0b", "0o" in front.
bool has_base_prefix(std::string_view text) {
  return text.size() >= 2 && text[0] == '0' &&
         std::string_view("xbo").find(rules::lower_case(text[1])) != std::string_view::npos;
}

/// Go's rule for "_" in numbers: only between digits, or between a base prefix and a digit.
bool underscores_fit(std::string_view text) {
  const bool hex = has_base_prefix(text) && rules::lower_case(text[1]) == 'x';
  bool behind_digit = has_base_prefix(text);
  bool behind_underscore = false;
  for (const char c : text.substr(behind_digit ? 2 : 0)) {
    const bool digit = is_digit(c) || (hex && is_hex_digit(c));
    if (c == '_' ? !behind_digit : !digit && behind_underscore) return false;
    behind_digit = digit;
    behind_underscore = c == '_';
  }
  return !behind_underscore;
}

std::string without_underscores(std::string_view text) {
  std::string plain(text);
  std::erase(plain, '_');
  return plain;
}

bool equals_ignoring_case(std::string_view text, std::string_view lower_case) {
  return rules::lower_case(text) == lower_case;
}

/// Takes digits off the front; how many.
std::size_t take_digits(std::string_view& text, bool hex) {
  std::size_t count = 0;
  while (count < text.size() && (hex ? is_hex_digit(text[count]) : is_digit(text[count]))) ++count;
  text.remove_prefix(count);
  return count;
}

/// The syntax of Go's floating-point numbers, without sign and underscores.
bool is_float(std::string_view text) {
  const bool hex = text.size() >= 2 && text[0] == '0' && rules::lower_case(text[1]) == 'x';
  if (hex) text.remove_prefix(2);
  std::size_t digits = take_digits(text, hex);
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    digits += take_digits(text, hex);
  }
  if (digits == 0) return false;
  if (text.empty()) return !hex;  // hexadecimal ones need their exponent
  if (rules::lower_case(text[0]) != (hex ? 'p' : 'e')) return false;
  text.remove_prefix(1);
  takes_sign(text);
  return take_digits(text, false) > 0 && text.empty();
}

/// A line of encoding/csv, with its end as "\n": what of `text` was read is taken off.
std::string take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string line(text.substr(0, end));
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.pop_back();
  if (end != std::string_view::npos) line += '\n';
  return line;
}

std::string_view without_end(std::string_view line) {
  return line.ends_with('\n') ? line.substr(0, line.size() - 1) : line;
}

/// Takes a field that begins with a quote off `line`, reading further lines of `text` where it goes on. None: it does
/// not end as it has to.
std::optional<std::string> take_quoted(std::string& line, std::string_view& text, bool& more) {
  std::string field;
  std::size_t at = 1;
  while (true) {
    const std::size_t quote = line.find('"', at);
    if (quote == std::string::npos) {
      field += line.substr(at);
      if (text.empty()) return std::nullopt;
      line = take_line(text);
      at = 0;
      continue;
    }
    field += line.substr(at, quote - at);
    at = quote + 1;
    if (at < line.size() && line[at] == '"') {
      field += '"';
      ++at;
    } else if (at < line.size() && line[at] == ',') {
      line.erase(0, at + 1);
      more = true;
      return field;
    } else if (without_end(line).size() == at) {
      more = false;
      return field;
    } else {
      return std::nullopt;
    }
  }
}

}  // namespace

std::optional<bool> parse_go_bool(std::string_view text) {
  constexpr std::array<std::string_view, 6> kTrue{"1", "t", "T", "true", "TRUE", "True"};
  constexpr std::array<std::string_view, 6> kFalse{"0", "f", "F", "false", "FALSE", "False"};
  if (std::ranges::find(kTrue, text) != kTrue.end()) return true;
  if (std::ranges::find(kFalse, text) != kFalse.end()) return false;
  return std::nullopt;
}

std::expected<std::int64_t, std::string> parse_go_int(std::string_view text, int bits) {
  const bool negative = takes_sign(text);
  const bool underscored = text.find('_') != std::string_view::npos;
  if (text.empty() || (underscored && !underscores_fit(text))) return std::unexpected(kNotWhole);
  int base = 10;
  if (has_base_prefix(text) && text.size() > 2) {
    base = rules::lower_case(text[1]) == 'x' ? 16 : rules::lower_case(text[1]) == 'b' ? 2 : 8;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text[0] == '0') {
    base = 8;
    text.remove_prefix(1);
  }
  const std::string digits = without_underscores(text);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (end != digits.data() + digits.size() || error == std::errc::invalid_argument) return std::unexpected(kNotWhole);
  const std::uint64_t most = (std::uint64_t{1} << (bits - 1)) - (negative ? 0 : 1);
  if (error != std::errc{} || value > most) return std::unexpected(fmt::format("it does not fit into {} bits", bits));
  return static_cast<std::int64_t>(negative ? std::uint64_t{0} - value : value);
}

std::expected<int, std::string> parse_go_verbosity(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.starts_with('-') || end != text.data() + text.size() || error == std::errc::invalid_argument)
    return std::unexpected(kNotWhole);
  if (error != std::errc{}) return std::unexpected("it does not fit into 31 bits");
  return value;
}

std::expected<double, std::string> parse_go_float32(std::string_view text) {
  std::string_view rest = text;
  const bool negative = takes_sign(rest);
  if (equals_ignoring_case(rest, "inf") || equals_ignoring_case(rest, "infinity") || equals_ignoring_case(text, "nan"))
    return std::unexpected("it is not a finite number");
  const std::string plain = without_underscores(rest);
  if (plain.size() != rest.size() && !underscores_fit(rest)) return std::unexpected(kNotNumber);
  if (!is_float(plain)) return std::unexpected(kNotNumber);
  const float value = std::strtof(plain.c_str(), nullptr);
  if (std::isinf(value)) return std::unexpected("it does not fit into 32 bits");
  // The shortest text that stands for the float: 0.1 and not 0.10000000149.
  const double told = std::strtod(fmt::format("{}", value).c_str(), nullptr);
  return negative ? -told : told;
}

std::expected<std::vector<std::string>, std::string> parse_csv_record(std::string_view text) {
  std::vector<std::string> fields;
  if (text.empty()) return fields;
  std::string line;
  do {
    if (text.empty()) return std::unexpected("it is only line ends");
    line = take_line(text);
  } while (without_end(line).empty());
  bool more = true;
  while (more) {
    if (line.starts_with('"')) {
      auto field = take_quoted(line, text, more);
      if (!field) return std::unexpected("it has a quoted part that does not end before a comma");
      fields.push_back(std::move(*field));
      continue;
    }
    const std::size_t comma = line.find(',');
    more = comma != std::string::npos;
    const std::string field(more ? std::string_view(line).substr(0, comma) : without_end(line));
    if (field.find('"') != std::string::npos) return std::unexpected("it has a quote inside a part");
    fields.push_back(field);
    if (more) line.erase(0, comma + 1);
  }
  return fields;
}

std::optional<bool> is_zero_quantity(std::string_view text) {
  static constexpr std::array<std::string_view, 16> kSuffixes{"",  "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "n",
                                                              "u", "m",  "k",  "M",  "G",  "T",  "P",  "E"};
  takes_sign(text);
  std::string_view suffix = text;
  take_digits(suffix, false);
  if (suffix.starts_with('.')) {
    suffix.remove_prefix(1);
    take_digits(suffix, false);
  }
  const std::string_view number = text.substr(0, text.size() - suffix.size());
  if (number.empty()) return std::nullopt;
  if (std::ranges::find(kSuffixes, suffix) == kSuffixes.end()) {
    if (!suffix.starts_with('e') && !suffix.starts_with('E')) return std::nullopt;
    suffix.remove_prefix(1);
    takes_sign(suffix);
    if (take_digits(suffix, false) == 0 || !suffix.empty()) return std::nullopt;
  }
  return std::ranges::all_of(number, [](char c) { return c == '0' || c == '.'; });
}

}  // namespace kubenatd::agent::config
