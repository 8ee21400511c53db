#include "netlink/walk/xt_part.h"

#include <algorithm>
#include <bit>

namespace kubenatd::netlink::walk {

void XtWriter::quoted(std::string_view words) {
  // As xtables_save_string() of iptables 1.8.9.
  const auto harmless = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  if (!words.empty() && std::ranges::all_of(words, harmless)) {
    part_.text.append(" ").append(words);
    return;
  }
  part_.text += " \"";
  for (const char c : words) {
    if (c == '"' || c == '\'' || c == '\\') part_.text += '\\';
    part_.text += c;
  }
  part_.text += '"';
}

std::string range_text(std::uint64_t first, std::uint64_t last, char between) {
  return first == last ? fmt::format("{}", first) : fmt::format("{}{}{}", first, between, last);
}

std::string masked_text(std::uint32_t value, std::uint32_t mask) {
  return mask == 0xffffffff ? fmt::format("{:#x}", value) : fmt::format("{:#x}/{:#x}", value, mask);
}

std::string mask_text(const rules::Address& mask) {
  unsigned length = 0;
  bool ended = false;
  for (const std::uint8_t byte : mask.octets()) {
    if (ended ? byte != 0 : std::countl_one(byte) + std::countr_zero(byte) < 8) return "/" + mask.to_string();
    length += static_cast<unsigned>(std::countl_one(byte));
    ended = ended || byte != 0xff;
  }
  if (length == rules::bits_of(mask.family)) return {};
  return fmt::format("/{}", length);
}

std::string names_of(std::uint32_t bits, std::span<const std::pair<std::uint32_t, std::string_view>> names) {
  std::string text;
  const auto append = [&text](std::string_view name) {
    if (!text.empty()) text += ',';
    text += name;
  };
  for (const auto& [bit, name] : names) {
    if ((bits & bit) == 0) continue;
    append(name);
    bits &= ~bit;
  }
  if (bits != 0) append(fmt::format("{:#x}", bits));
  return text;
}

}  // namespace kubenatd::netlink::walk
