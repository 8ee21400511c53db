#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Words of a rule's text.
namespace kubenatd::rules::walk::xt {

struct Word {
  std::string text;  ///< without quotes
  bool quoted = false;
  std::size_t begin = 0, end = 0;  ///< where it stands in the line, with its quotes

  /// Bare, so it may be an option's name or "!".
  [[nodiscard]] bool is(std::string_view name) const { return !quoted && text == name; }
};

/// Splits at blanks. Double quotes hold a word together; inside them a backslash takes the next character literally.
[[nodiscard]] std::vector<Word> split_words(std::string_view line);

/// A decimal number, or a hexadecimal one with 0x. Nothing when there is anything else in it, or it is larger than
/// `most`.
[[nodiscard]] std::optional<std::uint32_t> read_number(std::string_view text, std::uint32_t most = 0xffffffff);

}  // namespace kubenatd::rules::walk::xt
