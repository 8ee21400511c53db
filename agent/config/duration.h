#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/config/config.h"

/// Durations as Go's time package writes them, which is how Kubernetes files hold them.
namespace kubenatd::agent::config {

/// "1h2m3.5s", "300ms", "-1.5h", "0". None for anything that time.ParseDuration refuses, overflow included.
[[nodiscard]] std::optional<Duration> parse_duration(std::string_view text);

/// As Go prints it: "1h0m0s", "1.5s", "300ms", "0s".
[[nodiscard]] std::string to_text(Duration duration);

}  // namespace kubenatd::agent::config
