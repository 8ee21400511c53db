#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace kubenatd::rules {

/// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein), fed piece by piece.
///
/// One object hashes one message: `finish` ends it. Threading: none of its own. Cannot fail; never allocates; about
/// one nanosecond for two bytes.
class SipHash128 {
 public:
  using Key = std::array<std::uint64_t, 2>;

  explicit SipHash128(const Key& key)
      : v0_(0x736f6d6570736575 ^ key[0]),
        v1_(0x646f72616e646f6d ^ key[1] ^ 0xee),
        v2_(0x6c7967656e657261 ^ key[0]),
        v3_(0x7465646279746573 ^ key[1]) {}

  void add(std::uint8_t value) {
    if (used_ == buffer_.size()) flush();
    buffer_[used_++] = value;
  }
  void add(std::uint16_t value) { add_number(value); }
  void add(std::uint32_t value) { add_number(value); }
  void add(std::uint64_t value) { add_number(value); }

  void add(std::span<const std::uint8_t> bytes) {
    while (!bytes.empty()) {
      if (used_ == buffer_.size()) flush();
      const std::size_t count = std::min(bytes.size(), buffer_.size() - used_);
      std::memcpy(buffer_.data() + used_, bytes.data(), count);
      used_ += count;
      bytes = bytes.subspan(count);
    }
  }

  /// Length first, so that neighbouring texts cannot run into each other.
  void add_text(std::string_view text) {
    add(static_cast<std::uint64_t>(text.size()));
    add({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  }

  [[nodiscard]] std::array<std::uint64_t, 2> finish() {
    const std::size_t whole = used_ / 8 * 8;
    compress(whole);
    std::array<std::uint8_t, 8> last{};
    std::memcpy(last.data(), buffer_.data() + whole, used_ - whole);
    last[7] = static_cast<std::uint8_t>(length_ + used_);
    word(load(last.data()));
    v2_ ^= 0xee;
    for (int i = 0; i < 4; ++i) round();
    const std::uint64_t low = v0_ ^ v1_ ^ v2_ ^ v3_;
    v1_ ^= 0xdd;
    for (int i = 0; i < 4; ++i) round();
    return {low, v0_ ^ v1_ ^ v2_ ^ v3_};
  }

 private:
  template <class Number>
  void add_number(Number value) {
    std::array<std::uint8_t, sizeof value> bytes;
    std::memcpy(bytes.data(), &value, sizeof value);
    if (buffer_.size() - used_ < sizeof value) return add(std::span<const std::uint8_t>(bytes));
    std::memcpy(buffer_.data() + used_, bytes.data(), sizeof value);
    used_ += sizeof value;
  }

  static std::uint64_t load(const std::uint8_t* bytes) {
    std::uint64_t value;
    std::memcpy(&value, bytes, sizeof value);
    // The words of a message are little endian; so are all machines that this is tested on.
    if constexpr (std::endian::native == std::endian::big) value = __builtin_bswap64(value);
    return value;
  }

  void flush() {
    compress(buffer_.size());
    length_ += buffer_.size();
    used_ = 0;
  }

  void compress(std::size_t size) {
    for (std::size_t at = 0; at < size; at += 8) word(load(buffer_.data() + at));
  }

  void word(std::uint64_t message) {
    v3_ ^= message;
    round();
    round();
    v0_ ^= message;
  }

  void round() {
    v0_ += v1_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v0_ = std::rotl(v0_, 32);
    v2_ += v3_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ += v3_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ += v1_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v2_ = std::rotl(v2_, 32);
  }

  std::uint64_t v0_, v1_, v2_, v3_;
  std::uint64_t length_ = 0;
  std::size_t used_ = 0;
  std::array<std::uint8_t, 256> buffer_;  // whole words only: flush() needs no tail
};

}  // namespace kubenatd::rules
