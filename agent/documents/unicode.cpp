#include "agent/documents/unicode.h"

#include <cstdint>

namespace kubenatd::agent::documents {
namespace {

void append_utf8(std::string& text, std::uint32_t point) {
  const auto put = [&](std::uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (point < 0x80) return put(point);
  if (point < 0x800) {
    put(0xc0 | point >> 6U);
  } else {
    if (point < 0x10000) {
      put(0xe0 | point >> 12U);
    } else {
      put(0xf0 | point >> 18U);
      put(0x80 | (point >> 12U & 0x3f));
    }
    put(0x80 | (point >> 6U & 0x3f));
  }
  put(0x80 | (point & 0x3f));
}

}  // namespace

bool is_utf16(std::string_view text) {
  return text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff");
}

std::optional<std::string> utf8_of_utf16(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  const bool little = text.starts_with("\xff\xfe");
  const auto unit = [&](std::size_t at) {
    const auto first = static_cast<std::uint8_t>(text[at]);
    const auto second = static_cast<std::uint8_t>(text[at + 1]);
    return static_cast<std::uint32_t>(little ? second << 8 | first : first << 8 | second);
  };
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = 2; at < text.size(); at += 2) {
    const std::uint32_t one = unit(at);
    const bool high = one >= 0xd800 && one < 0xdc00;
    if (!high) {
      if (one >= 0xdc00 && one < 0xe000) return std::nullopt;
      append_utf8(result, one);
      continue;
    }
    at += 2;
    if (at >= text.size() || unit(at) < 0xdc00 || unit(at) >= 0xe000) return std::nullopt;
    append_utf8(result, 0x10000 + ((one - 0xd800) << 10U) + (unit(at) - 0xdc00));
  }
  return result;
}

}  // namespace kubenatd::agent::documents
