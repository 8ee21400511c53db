#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

/// Reasons in the words of the API server (field.Error of k8s.io/apimachinery), so that they can be looked up.
namespace kubenatd::agent::objects {

[[nodiscard]] std::string invalid(std::string_view value, std::string_view detail);
[[nodiscard]] std::string invalid(std::int64_t value, std::string_view detail);
[[nodiscard]] std::string not_supported(std::string_view value, std::span<const std::string_view> supported);
[[nodiscard]] std::string duplicate(std::string_view value);
[[nodiscard]] std::string duplicate(std::int64_t value);
[[nodiscard]] std::string required(std::string_view detail = {});
[[nodiscard]] std::string forbidden(std::string_view detail);
[[nodiscard]] std::string too_many(std::size_t count, std::size_t most);
/// "must be between 1 and 65535, inclusive"
[[nodiscard]] std::string between(std::int64_t least, std::int64_t most);

inline constexpr std::string_view kMustBeIp = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
inline constexpr std::string_view kMustBeCidr = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

}  // namespace kubenatd::agent::objects
