#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace kubenatd::agent::base {

/// A moment of wall-clock time, in the precision that Kubernetes writes.
using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;

/// RFC 3339 with nanoseconds as Go's time.Time is written in JSON: "2025-07-01T10:00:00.12Z", no trailing zeros.
[[nodiscard]] std::string to_rfc3339(WallTime time);

/// Reads such a text, with any offset ("+02:00") and any number of digits after the point; digits below a nanosecond
/// are dropped. Nothing for any other text, and for years before 1970 or after 2261, which the type cannot hold.
[[nodiscard]] std::optional<WallTime> parse_rfc3339(std::string_view text);

}  // namespace kubenatd::agent::base
