#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "rules/address.h"
#include "rules/nftables/ruleset.h"
#include "rules/rule.h"

/// Elements of the sets as the kernel keeps them: the parts of a key one behind the other, each padded to four bytes.
namespace kubenatd::rules::nftables {

/// Up to `Capacity` bytes; the rest is zero, so that equal values have equal memory.
template <std::size_t Capacity>
struct Bytes {
  std::array<std::uint8_t, Capacity> data{};
  std::uint8_t size = 0;

  void add(std::span<const std::uint8_t> part) {
    std::memcpy(data.data() + size, part.data(), part.size());
    size = static_cast<std::uint8_t>(size + (part.size() + 3) / 4 * 4);
  }
  Bytes& address(const Address& address) {
    add(address.octets());
    return *this;
  }
  Bytes& protocol(Protocol protocol) {
    const auto number = static_cast<std::uint8_t>(protocol);
    add({&number, 1});
    return *this;
  }
  Bytes& port(std::uint16_t port) {
    const std::array<std::uint8_t, 2> big{static_cast<std::uint8_t>(port >> 8), static_cast<std::uint8_t>(port)};
    add(big);
    return *this;
  }
  /// A class: the host's own byte order.
  Bytes& number(std::uint32_t number) {
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &number, sizeof number);
    add(bytes);
    return *this;
  }
  [[nodiscard]] std::string_view view() const { return {reinterpret_cast<const char*>(data.data()), size}; }
  auto operator<=>(const Bytes&) const = default;
};

inline constexpr std::size_t kKeyCapacity = 40;   ///< source range in IPv6: address, protocol, port, address
inline constexpr std::size_t kDataCapacity = 20;  ///< endpoint in IPv6

/// Which element: the set and its key.
struct ElementKey {
  SetRef set;
  Bytes<kKeyCapacity> key;
  std::uint8_t range = 0;  ///< bits at the end of the key that are free: the element stands for all of them
  auto operator<=>(const ElementKey&) const = default;
};

/// What it says: the value of a map's element, and a comment for the reader.
struct ElementValue {
  Bytes<kDataCapacity> data;
  std::shared_ptr<const std::string> comment;  ///< the service port's name, or none

  bool operator==(const ElementValue& other) const {
    const std::string_view mine = comment ? std::string_view(*comment) : std::string_view();
    const std::string_view theirs = other.comment ? std::string_view(*other.comment) : std::string_view();
    return data == other.data && mine == theirs;
  }
};

/// Longest comment: the kernel keeps 256 bytes of user data an element, nft (1.0.6) 128 of a comment with its NUL.
inline constexpr std::size_t kMaxComment = 127;

}  // namespace kubenatd::rules::nftables

template <>
struct std::hash<kubenatd::rules::nftables::ElementKey> {
  std::size_t operator()(const kubenatd::rules::nftables::ElementKey& key) const noexcept {
    std::size_t seed = std::hash<std::string_view>{}(key.key.view());
    seed ^= (static_cast<std::size_t>(key.set.id) << 32 | key.set.number) * 0x9e3779b97f4a7c15U;
    return seed + key.range;
  }
};
