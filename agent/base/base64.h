#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kubenatd::agent::base {

/// Standard base64 (RFC 4648, section 4), with blanks and line breaks anywhere. Nothing for anything else.
[[nodiscard]] std::optional<std::string> decode_base64(std::string text);

/// The same with line breaks anywhere, but no blanks: what Go's encoding/base64 takes.
[[nodiscard]] std::optional<std::string> decode_base64_as_go(const std::string& text);

[[nodiscard]] std::string encode_base64(std::string_view bytes);

}  // namespace kubenatd::agent::base
