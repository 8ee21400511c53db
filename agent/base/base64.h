#pragma once

#include <optional>
#include <string>

namespace kubenatd::agent::base {

/// Standard base64 (RFC 4648, section 4), with blanks and line breaks anywhere. Nothing for anything else.
[[nodiscard]] std::optional<std::string> decode_base64(std::string text);

}  // namespace kubenatd::agent::base
