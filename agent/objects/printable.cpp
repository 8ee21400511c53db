#include "agent/objects/printable.h"

#include <fmt/format.h>

namespace kubenatd::agent {

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  for (const char c : text) {
    if (out.size() >= limit) {
      out += "...";
      break;
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return out;
}

std::string quote(std::string_view text) {
  return fmt::format("\"{}\"", printable(text));
}

}  // namespace kubenatd::agent
