#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Words of a rule's text.
namespace kubenatd::rules::walk {

struct Word {
  std::string text;  ///< without quotes
  bool quoted = false;
};

/// Splits at blanks; double quotes hold a word together, a backslash in them takes the next character as it is.
[[nodiscard]] std::vector<Word> split_words(std::string_view line);

/// Decimal, or hexadecimal with 0x; nothing when anything else is in it or it is larger than `most`.
[[nodiscard]] std::optional<std::uint32_t> read_number(std::string_view text, std::uint32_t most = 0xffffffff);

/// Splits at every `separator`.
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);

}  // namespace kubenatd::rules::walk
