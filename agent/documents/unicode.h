#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kubenatd::agent::documents {

/// Whether the text begins with a byte order mark of UTF-16.
[[nodiscard]] bool is_utf16(std::string_view text);
/// In UTF-8, without the mark. Nothing when it ends in the middle or has half of a pair.
[[nodiscard]] std::optional<std::string> utf8_of_utf16(std::string_view text);

}  // namespace kubenatd::agent::documents
