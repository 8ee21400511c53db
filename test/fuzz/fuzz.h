#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "rules/error.h"

/// What fuzz targets share. A target is one file with check().
namespace kubenatd::fuzz {

/// One input. What must not happen ends the process: a crash, what a sanitizer sees, or require().
void check(std::string_view input);

/// What has to hold whatever the input.
inline void require(bool holds, std::string_view what, std::string_view detail = {}) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: does not hold: %.*s: %.*s\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(detail.size()), detail.data());
  std::abort();
}

/// A text for people stays one line and steers no terminal, whoever wrote what it names.
inline void require_line(std::string_view line) {
  const auto steers = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  require(std::ranges::none_of(line, steers), "a line for people without control characters", line);
  require(line.size() < 64U << 10, "a line for people of a bounded length", line.substr(0, 200));
}
inline void require_lines(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) require_line(line);
}
inline void require_line(const rules::Error& error) {
  require_line(error.to_string());
}

/// What rules/ says may quote any bytes: who prints it makes a line of it.
inline void require_short(const rules::Error& error) {
  require(error.to_string().size() < 64U << 10, "an error of a bounded length");
}

/// The first byte of the input, which it loses, for a choice; 0 when there is none.
[[nodiscard]] inline std::uint8_t take_byte(std::string_view& input) {
  if (input.empty()) return 0;
  const auto byte = static_cast<std::uint8_t>(input.front());
  input.remove_prefix(1);
  return byte;
}

/// A piece that the input tells the length of, in two bytes of network order; the input loses it. What is longer than
/// the rest is the rest.
[[nodiscard]] inline std::string_view take_piece(std::string_view& input) {
  const std::size_t high = take_byte(input);
  const std::size_t size = std::min<std::size_t>(high << 8U | take_byte(input), input.size());
  const std::string_view piece = input.substr(0, size);
  input.remove_prefix(size);
  return piece;
}

/// Cuts a text into pieces of lengths that `seed` decides.
[[nodiscard]] inline std::vector<std::string_view> in_pieces(std::string_view text, std::uint8_t seed) {
  std::vector<std::string_view> pieces;
  std::uint32_t state = seed + 1U;
  while (!text.empty()) {
    state = state * 1664525U + 1013904223U;
    const std::size_t size = std::min<std::size_t>((state >> 16U) % (seed + 2U), text.size());
    pieces.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return pieces;
}

}  // namespace kubenatd::fuzz
