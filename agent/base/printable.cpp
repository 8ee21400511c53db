#include "agent/base/printable.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <iterator>

namespace kubenatd::agent::base {
namespace {

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t size = 0;  ///< bytes; 0: not UTF-8
};

CodePoint decode(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80) return {lead, 1};
  std::size_t size = 0;
  std::uint32_t value = 0;
  std::uint32_t smallest = 0;  // shorter forms exist below: overlong encodings are not UTF-8
  if ((lead & 0xe0U) == 0xc0U) {
    size = 2, value = lead & 0x1fU, smallest = 0x80;
  } else if ((lead & 0xf0U) == 0xe0U) {
    size = 3, value = lead & 0x0fU, smallest = 0x800;
  } else if ((lead & 0xf8U) == 0xf0U) {
    size = 4, value = lead & 0x07U, smallest = 0x10000;
  }
  if (size == 0 || text.size() < size) return {};
  for (std::size_t i = 1; i < size; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0U) != 0x80U) return {};
    value = (value << 6U) | (next & 0x3fU);
  }
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < smallest || value > 0x10ffff || surrogate) return {};
  return {value, size};
}

/// Controls, separators of lines, and code points that are invisible or change the direction of what follows.
bool is_deceptive(std::uint32_t value) {
  struct Range {
    std::uint32_t first, last;
  };
  static constexpr std::array kRanges{Range{0x00, 0x1f},     Range{0x7f, 0x9f},      Range{0xad, 0xad},
                                      Range{0x061c, 0x061c}, Range{0x180e, 0x180e},  Range{0x200b, 0x200f},
                                      Range{0x2028, 0x202e}, Range{0x2060, 0x206f},  Range{0xfeff, 0xfeff},
                                      Range{0xfff9, 0xfffb}, Range{0xe0000, 0xe007f}};
  for (const Range& range : kRanges) {
    if (value >= range.first && value <= range.last) return true;
  }
  return false;
}

void append_escaped(std::string& out, std::uint32_t value) {
  switch (value) {
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  if (value < 0x80) {
    fmt::format_to(std::back_inserter(out), "\\x{:02x}", value);
  } else {
    fmt::format_to(std::back_inserter(out), "\\u{{{:x}}}", value);
  }
}

/// \uNNNN, or two of them for what is above U+FFFF.
void append_json_code(std::string& out, std::uint32_t value) {
  const auto append = [&](std::uint32_t unit) { fmt::format_to(std::back_inserter(out), "\\u{:04x}", unit); };
  if (value < 0x10000) {
    append(value);
    return;
  }
  append(0xd800 + ((value - 0x10000) >> 10U));
  append(0xdc00 + ((value - 0x10000) & 0x3ffU));
}

std::string escape(std::string_view text, std::size_t limit, bool for_quotes) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode(text.substr(at));
    if (at + (point.size == 0 ? 1 : point.size) > limit) return out + "...";
    if (point.size == 0) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(text[at]));
      ++at;
      continue;
    }
    if (is_deceptive(point.value)) {
      append_escaped(out, point.value);
    } else {
      if (for_quotes && (point.value == '"' || point.value == '\\')) out += '\\';
      out += text.substr(at, point.size);
    }
    at += point.size;
  }
  return out;
}

}  // namespace

std::string escaped(std::string_view text, std::size_t limit) {
  return escape(text, limit, true);
}

std::string json_escaped(std::string_view text, std::size_t limit) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode(text.substr(at));
    const std::size_t size = point.size == 0 ? 1 : point.size;
    if (at + size > limit) return out + "...";
    if (point.size == 0) {
      out += "\ufffd";
    } else if (point.value == '\n') {
      out += "\\n";
    } else if (is_deceptive(point.value)) {
      append_json_code(out, point.value);
    } else {
      if (point.value == '"' || point.value == '\\') out += '\\';
      out += text.substr(at, size);
    }
    at += size;
  }
  return out;
}

std::string one_line(std::string_view text, std::size_t limit) {
  return escape(text, limit, false);
}

std::string in_quotes(std::string_view text, std::size_t limit) {
  return '"' + escaped(text, limit) + '"';
}

std::string_view trimmed(std::string_view text) {
  static constexpr std::string_view kBlanks = " \t\r\n\v\f";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace kubenatd::agent::base
