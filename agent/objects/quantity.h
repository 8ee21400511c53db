#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace kubenatd::agent::objects {

/// A Kubernetes quantity ("4", "3920m", "1.5", "2e3", "1Ki") in billionths, rounded up, as resource.Quantity of
/// apimachinery v0.36 reads it. What is too large becomes the largest number. None: it is no quantity, or negative.
[[nodiscard]] std::optional<std::int64_t> parse_quantity(std::string_view text);

}  // namespace kubenatd::agent::objects
