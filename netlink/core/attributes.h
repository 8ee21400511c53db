#pragma once

#include <endian.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

/// Netlink attributes, written and read without allocation. It is inline because a cold start writes and reads millions
/// of them; libmnl's functions do the same, with a function call for each.
namespace kubenatd::netlink {

/// Writes attributes at a place that is known to be large enough.
///
/// Purpose: the part of encoding where speed counts. Threading: a value, one thread. Failure: none; the owner of the
/// memory has checked the size before. Cost: a few stores for each attribute.
class AttributeWriter {
 public:
  explicit AttributeWriter(char* at) : at_(at) {}

  [[nodiscard]] char* at() const { return at_; }

  void header(std::uint16_t payload, std::uint16_t type) {
    const nlattr attribute{static_cast<std::uint16_t>(NLA_HDRLEN + payload), type};
    std::memcpy(at_, &attribute, sizeof attribute);
    at_ += NLA_HDRLEN;
  }
  /// A number in network byte order, as all numbers of nf_tables are.
  void be32(std::uint16_t type, std::uint32_t value) {
    header(sizeof value, type);
    value = htobe32(value);
    put(value);
  }
  void be64(std::uint16_t type, std::uint64_t value) {
    header(sizeof value, type);
    value = htobe64(value);
    put(value);
  }
  /// Raw bytes, padded to four with zeros.
  void raw(std::uint16_t type, const void* data, std::uint16_t size) {
    header(size, type);
    std::memcpy(at_, data, size);
    at_ += size;
    while (size++ % NLA_ALIGNTO != 0) *at_++ = 0;
  }
  template <class Struct>
  void structure(std::uint16_t type, const Struct& value) {
    static_assert(sizeof value % NLA_ALIGNTO == 0);
    header(sizeof value, type);
    put(value);
  }
  /// Text with its NUL.
  void text(std::uint16_t type, std::string_view value) {
    const auto size = static_cast<std::uint16_t>(value.size() + 1);
    header(size, type);
    std::memcpy(at_, value.data(), value.size());
    at_ += value.size();
    for (std::uint16_t i = value.size() % NLA_ALIGNTO; i < NLA_ALIGNTO; ++i) *at_++ = 0;
  }
  /// A literal with its NUL; the padding is known when compiling.
  template <std::size_t N>
  void literal(std::uint16_t type, const char (&value)[N]) {
    struct Padded {
      char bytes[NLA_ALIGN(N)] = {};
    } padded;
    std::memcpy(padded.bytes, value, N);
    header(N, type);
    put(padded);
  }
  /// Starts a nest. close(), called with the result of open(), writes its header.
  [[nodiscard]] char* open() {
    char* nest = at_;
    at_ += NLA_HDRLEN;
    return nest;
  }
  void close(char* nest, std::uint16_t type) {
    const nlattr attribute{static_cast<std::uint16_t>(at_ - nest), static_cast<std::uint16_t>(type | NLA_F_NESTED)};
    std::memcpy(nest, &attribute, sizeof attribute);
  }

 private:
  template <class Value>
  void put(const Value& value) {
    std::memcpy(at_, &value, sizeof value);
    at_ += sizeof value;
  }

  char* at_;
};

/// One attribute as it was read. A view; numbers that are too short read as zero.
struct Attribute {
  std::uint16_t type = 0;
  std::string_view payload;

  [[nodiscard]] std::uint32_t be32() const {
    std::uint32_t value = 0;
    if (payload.size() >= sizeof value) std::memcpy(&value, payload.data(), sizeof value);
    return be32toh(value);
  }
  [[nodiscard]] std::uint64_t be64() const {
    std::uint64_t value = 0;
    if (payload.size() >= sizeof value) std::memcpy(&value, payload.data(), sizeof value);
    return be64toh(value);
  }
  /// The text before the first NUL.
  [[nodiscard]] std::string_view text() const {
    const void* end = payload.empty() ? nullptr : std::memchr(payload.data(), 0, payload.size());
    if (end == nullptr) return payload;
    return {payload.data(), static_cast<std::size_t>(static_cast<const char*>(end) - payload.data())};
  }
};

/// Walks the attributes in `bytes`. Stops at the end or at the first one that does not fit; complete() tells which.
class AttributeReader {
 public:
  explicit AttributeReader(std::string_view bytes) : rest_(bytes) {}

  [[nodiscard]] bool next(Attribute& attribute) {
    nlattr header;
    if (rest_.size() < sizeof header) return false;
    std::memcpy(&header, rest_.data(), sizeof header);
    if (header.nla_len < sizeof header || header.nla_len > rest_.size()) return false;
    attribute.type = header.nla_type & NLA_TYPE_MASK;
    attribute.payload = rest_.substr(sizeof header, header.nla_len - sizeof header);
    rest_.remove_prefix(std::min<std::size_t>(NLA_ALIGN(header.nla_len), rest_.size()));
    return true;
  }
  [[nodiscard]] bool complete() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

/// The first attribute of that type; empty payload when there is none.
[[nodiscard]] inline Attribute find_attribute(std::string_view bytes, std::uint16_t type) {
  AttributeReader reader(bytes);
  Attribute attribute;
  while (reader.next(attribute))
    if (attribute.type == type) return attribute;
  return {};
}

}  // namespace kubenatd::netlink
