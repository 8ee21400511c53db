#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "rules/address.h"

/// Addresses that servers listen on, written as Go's net package writes them.
namespace kubenatd::agent::config {

inline constexpr std::uint16_t kHealthzPort = 10256;
inline constexpr std::uint16_t kMetricsPort = 10249;

struct BindAddress {
  rules::Address address;
  std::uint16_t port = 0;
  bool operator==(const BindAddress&) const = default;
};

/// "1.2.3.4:80" or "[::1]:80", port 1 to 65535; none for anything else.
[[nodiscard]] std::optional<BindAddress> parse_bind_address(std::string_view text);

/// An address without a port gets `port`. Any other text is returned unchanged.
[[nodiscard]] std::string with_port(std::string_view text, std::uint16_t port);

}  // namespace kubenatd::agent::config
