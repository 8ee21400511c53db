#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

/// Bytes as nf_tables' registers hold them, for a walk of a packet. Pure.
namespace kubenatd::rules::walk {

/// A short run of bytes, without allocation. More than kCapacity bytes are cut: nf_tables has 16 registers of four
/// bytes (NFT_REG32_SIZE and _COUNT of linux/netfilter/nf_tables.h).
struct Bytes {
  static constexpr std::size_t kCapacity = 64;
  std::array<std::uint8_t, kCapacity> data{};
  std::uint8_t size = 0;

  Bytes() = default;
  explicit Bytes(std::span<const std::uint8_t> from)
      : size(static_cast<std::uint8_t>(std::min(from.size(), kCapacity))) {
    std::copy_n(from.begin(), size, data.begin());
  }
  explicit Bytes(std::string_view from) : size(static_cast<std::uint8_t>(std::min(from.size(), kCapacity))) {
    if (size != 0) std::memcpy(data.data(), from.data(), size);
  }
  /// `count` bytes of `byte`.
  [[nodiscard]] static Bytes filled(std::size_t count, std::uint8_t byte) {
    Bytes bytes;
    bytes.size = static_cast<std::uint8_t>(std::min(count, kCapacity));
    std::fill_n(bytes.data.begin(), bytes.size, byte);
    return bytes;
  }
  /// A number in the host's order, as marks, priorities and states are kept.
  [[nodiscard]] static Bytes host(std::uint32_t number) {
    Bytes bytes;
    bytes.size = sizeof number;
    std::memcpy(bytes.data.data(), &number, sizeof number);
    return bytes;
  }
  /// A number in network order, of `size` bytes (at most 8).
  [[nodiscard]] static Bytes network(std::uint64_t number, std::size_t size) {
    Bytes bytes;
    bytes.size = static_cast<std::uint8_t>(size);
    for (std::size_t i = 0; i < size; ++i) bytes.data[size - 1 - i] = static_cast<std::uint8_t>(number >> (8 * i));
    return bytes;
  }

  [[nodiscard]] std::span<const std::uint8_t> view() const { return {data.data(), size}; }
  [[nodiscard]] std::uint32_t as_host() const {
    std::uint32_t number = 0;
    std::memcpy(&number, data.data(), std::min<std::size_t>(size, sizeof number));
    return number;
  }
  /// In network order; of more than eight bytes, the last eight.
  [[nodiscard]] std::uint64_t as_network() const {
    std::uint64_t number = 0;
    for (const std::uint8_t byte : view()) number = number << 8U | byte;
    return number;
  }
  void append(const Bytes& more) {
    for (const std::uint8_t byte : more.view())
      if (size < kCapacity) data[size++] = byte;
  }
  [[nodiscard]] Bytes slice(std::size_t offset, std::size_t count) const {
    Bytes part;
    for (std::size_t i = offset; i < offset + count && i < size; ++i) part.data[part.size++] = data[i];
    return part;
  }

  friend bool operator==(const Bytes& one, const Bytes& other) { return std::ranges::equal(one.view(), other.view()); }
  /// As the kernel compares: byte by byte.
  friend auto operator<=>(const Bytes& one, const Bytes& other) {
    return std::lexicographical_compare_three_way(one.view().begin(), one.view().end(), other.view().begin(),
                                                  other.view().end());
  }
};

/// Each byte is this one.
[[nodiscard]] inline bool all(const Bytes& bytes, std::uint8_t value) {
  return std::ranges::all_of(bytes.view(), [value](std::uint8_t byte) { return byte == value; });
}
/// Each bit is the other one.
[[nodiscard]] inline Bytes inverse(Bytes bytes) {
  for (std::size_t i = 0; i < bytes.size; ++i) bytes.data[i] = static_cast<std::uint8_t>(~bytes.data[i]);
  return bytes;
}

/// A number of `bytes` bytes with ones at the bits `offset` to `offset + bits`, counted from the left.
[[nodiscard]] inline Bytes bit_mask(std::size_t bytes, unsigned offset, unsigned bits) {
  Bytes mask = Bytes::filled(bytes, 0);
  for (unsigned bit = offset; bit < offset + bits && bit / 8 < bytes; ++bit)
    mask.data[bit / 8] = static_cast<std::uint8_t>(mask.data[bit / 8] | 0x80U >> bit % 8);
  return mask;
}

/// What a rule loads from a packet: bytes of which some bits may not be known.
struct Value {
  Bytes bits;   ///< unknown bits are 0
  Bytes known;  ///< a mask of the same size
  /// The kernel has no such value for this packet, and leaves the rule (NFT_BREAK).
  bool absent = false;
  bool operator==(const Value&) const = default;

  [[nodiscard]] static Value of(const Bytes& bytes) { return {bytes, Bytes::filled(bytes.size, 0xff), false}; }
  [[nodiscard]] static Value unknown(std::size_t size) {
    return {Bytes::filled(size, 0), Bytes::filled(size, 0), false};
  }
  [[nodiscard]] static Value none() { return {{}, {}, true}; }
  [[nodiscard]] bool is_known() const {
    return !absent && std::ranges::all_of(known.view(), [](std::uint8_t byte) { return byte == 0xff; });
  }
};

}  // namespace kubenatd::rules::walk
