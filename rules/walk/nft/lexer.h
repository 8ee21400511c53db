#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace kubenatd::rules::walk::nft {

/// A piece of nft's text. Words hold what nft writes without blanks: "10.0.0.0/8", "1-1024", "seen-reply", ":80".
struct Token {
  enum class Kind : std::uint8_t { kWord, kString, kMark, kNewline, kComment, kEnd };
  Kind kind = Kind::kEnd;
  std::string_view text;  ///< of a string, without quotes; of a comment, without "#"
  std::uint32_t line = 1;
  std::uint32_t partner = 0;       ///< of an opening bracket: where the closing one is, or the end
  std::uint32_t from = 0, to = 0;  ///< in the text
  bool glued = false;              ///< no blank in front of it
  bool is_blank_line = false;      ///< kNewline: there are blanks on the line, and nothing else

  [[nodiscard]] bool is(std::string_view word) const {
    return (kind == Kind::kWord || kind == Kind::kMark) && text == word;
  }
};

/// The last token is kEnd, and one before it kNewline. Cost: linear.
[[nodiscard]] std::vector<Token> tokens_of(std::string_view text);

}  // namespace kubenatd::rules::walk::nft
