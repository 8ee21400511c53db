#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// Makes text from outside safe to print in a line for people.
namespace kubenatd::agent::base {

/// `text` without anything that could start a line, steer a terminal or hide other text: control characters, invisible
/// and direction-changing code points and bytes that are not UTF-8 become \n, \t, \xNN or \u{NNNN}; `"` and `\` get a
/// backslash. What is longer than `limit` bytes is cut and ends in "...".
[[nodiscard]] std::string escaped(std::string_view text, std::size_t limit);

/// The same, but `"` and `\` stay as they are: for text that is not put in quotes.
[[nodiscard]] std::string one_line(std::string_view text, std::size_t limit = 80);

/// Escaped, in double quotes.
[[nodiscard]] std::string in_quotes(std::string_view text, std::size_t limit = 80);

/// The text as the inside of a JSON string, always UTF-8: bytes that are not UTF-8 become U+FFFD, as Go's encoders have
/// it, and what `escaped` would show as a code becomes \uNNNN. What is longer than `limit` bytes is cut and ends in
/// "...".
[[nodiscard]] std::string json_escaped(std::string_view text, std::size_t limit);

/// The text without blanks, tabs and line ends at its start and end.
[[nodiscard]] std::string_view trimmed(std::string_view text);

}  // namespace kubenatd::agent::base
