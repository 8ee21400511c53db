#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kubenatd::agent {

/// Text from outside, fit for one line on a terminal or in a log: control characters and bytes beyond ASCII become
/// "\xNN" escapes, and what exceeds `limit` is cut and marked with "...".
[[nodiscard]] std::string printable(std::string_view text, std::size_t limit = 80);

/// The same in double quotes.
[[nodiscard]] std::string quote(std::string_view text);

}  // namespace kubenatd::agent
