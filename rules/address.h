#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace kubenatd::rules {

enum class Family : std::uint8_t { kIpv4, kIpv6 };

inline constexpr std::array kFamilies{Family::kIpv4, Family::kIpv6};

/// "IPv4" or "IPv6", as Kubernetes writes it.
[[nodiscard]] constexpr std::string_view name_of(Family family) {
  return family == Family::kIpv4 ? "IPv4" : "IPv6";
}

/// Bits in an address: 32 or 128.
[[nodiscard]] constexpr std::uint8_t bits_of(Family family) {
  return family == Family::kIpv4 ? 32 : 128;
}

/// An IP address. IPv4 uses the first four bytes, the others are zero. Network byte order.
struct Address {
  Family family = Family::kIpv4;
  std::array<std::uint8_t, 16> bytes{};

  /// Parses dotted IPv4 (leading zeros are accepted and read as decimal, as Kubernetes does) or IPv6.
  /// An IPv4-mapped IPv6 address becomes the IPv4 address, as Go's net.IP does. No zone, no blanks.
  [[nodiscard]] static std::optional<Address> parse(std::string_view text);

  /// Canonical text: inet_ntop's form.
  [[nodiscard]] std::string to_string() const;

  [[nodiscard]] std::span<const std::uint8_t> octets() const {
    return {bytes.data(), family == Family::kIpv4 ? std::size_t{4} : std::size_t{16}};
  }
  [[nodiscard]] bool is_loopback() const;     ///< 127.0.0.0/8 or ::1
  [[nodiscard]] bool is_unspecified() const;  ///< 0.0.0.0 or ::

  auto operator<=>(const Address&) const = default;
};

/// "IP:port", or "[IP]:port" for IPv6 (Go's net.JoinHostPort).
[[nodiscard]] std::string join_host_port(const Address& address, std::uint16_t port);

/// Room for the longest text of join_host_port.
inline constexpr std::size_t kHostPortCapacity = 64;

/// The same, without an allocation: the part of `buffer` that was written.
[[nodiscard]] std::string_view join_host_port(const Address& address, std::uint16_t port,
                                              std::span<char, kHostPortCapacity> buffer);

/// An address block. Host bits are always zero.
struct Prefix {
  Address address;
  std::uint8_t length = 0;

  /// Parses "ADDRESS/LENGTH"; host bits are masked away. An address without "/" is refused, and so is an
  /// IPv4-mapped block that is wider than all of IPv4.
  [[nodiscard]] static std::optional<Prefix> parse(std::string_view text);
  /// The block of exactly one address.
  [[nodiscard]] static Prefix host(const Address& address);
  /// The block of `length` leading bits around `address`; length <= bits_of(family).
  [[nodiscard]] static Prefix of(const Address& address, std::uint8_t length);

  [[nodiscard]] bool contains(const Address& other) const;
  /// "ADDRESS/LENGTH", always with the length, as iptables-save prints it.
  [[nodiscard]] std::string to_string() const;

  auto operator<=>(const Prefix&) const = default;
};

}  // namespace kubenatd::rules

template <>
struct std::hash<kubenatd::rules::Address> {
  std::size_t operator()(const kubenatd::rules::Address& address) const noexcept {
    return std::hash<std::string_view>{}({reinterpret_cast<const char*>(&address), sizeof address});
  }
};
