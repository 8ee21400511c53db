#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace kubenatd::agent::base {

/// A moment as people mean it, in the precision that Kubernetes writes.
using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;

/// RFC 3339 with nanoseconds as Go's time.Time is written in JSON: "2025-07-01T10:00:00.12Z", no trailing zeros.
[[nodiscard]] std::string to_rfc3339(WallTime time);

/// The same backwards, with any offset ("+02:00") and any number of digits after the point; those below a nanosecond
/// are dropped. None for anything else, and for years before 1970 or after 2261, which the type does not hold.
[[nodiscard]] std::optional<WallTime> parse_rfc3339(std::string_view text);

}  // namespace kubenatd::agent::base
