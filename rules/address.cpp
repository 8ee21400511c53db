#include "rules/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace kubenatd::rules {
namespace {

constexpr std::size_t kMappedBytes = 12;  ///< leading bytes of ::ffff:0:0/96
constexpr std::uint8_t kMappedBits = 96;

char* write_number(char* out, unsigned value, int base = 10) {
  // Five decimal digits are the longest number here; the callers' buffers have room.
  return std::to_chars(out, out + 8, value, base).ptr;
}

char* write_ipv4(char* out, const std::uint8_t* bytes) {
  for (int i = 0; i < 4; ++i) {
    if (i != 0) *out++ = '.';
    out = write_number(out, bytes[i]);
  }
  return out;
}

/// `dotted_tail` writes ::a.b.c.d for the IPv4-compatible block, as glibc's inet_ntop does; Go does not.
char* write_ipv6(char* out, const std::array<std::uint8_t, 16>& bytes, bool dotted_tail) {
  std::array<unsigned, 8> words;
  for (std::size_t i = 0; i < 8; ++i) words[i] = bytes[2 * i] << 8 | bytes[2 * i + 1];
  // The first longest run of at least two zero words becomes "::" (RFC 5952, section 4.2).
  std::size_t best = 8, best_length = 1;
  for (std::size_t i = 0; i < 8;) {
    std::size_t end = i;
    while (end < 8 && words[end] == 0) ++end;
    if (end - i > best_length) {
      best = i;
      best_length = end - i;
    }
    i = std::max(end, i + 1);
  }
  if (dotted_tail && best == 0 && (best_length == 6 || (best_length == 5 && words[5] == 0xffff))) {
    const std::string_view head = best_length == 6 ? "::" : "::ffff:";
    out = std::copy(head.begin(), head.end(), out);
    return write_ipv4(out, bytes.data() + kMappedBytes);
  }
  for (std::size_t i = 0; i < 8;) {
    if (i == best) {
      *out++ = ':';
      *out++ = ':';
      i += best_length;
      continue;
    }
    if (i != 0 && i != best + best_length) *out++ = ':';
    out = write_number(out, words[i++], 16);
  }
  return out;
}

/// Dotted decimal as Kubernetes reads it: leading zeros are allowed and do not mean octal.
bool parse_ipv4(std::string_view text, std::uint8_t* bytes) {
  for (int i = 0; i < 4; ++i) {
    if (i != 0) {
      if (text.empty() || text.front() != '.') return false;
      text.remove_prefix(1);
    }
    unsigned value = 0;
    std::size_t digits = 0;
    for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
      value = value * 10 + static_cast<unsigned>(text[digits] - '0');
      if (value > 255) return false;
    }
    if (digits == 0) return false;
    bytes[i] = static_cast<std::uint8_t>(value);
    text.remove_prefix(digits);
  }
  return text.empty();
}

bool parse_ipv6(std::string_view text, std::array<std::uint8_t, 16>& bytes) {
  std::array<char, INET6_ADDRSTRLEN> copy{};
  if (text.size() >= copy.size() || text.find('\0') != text.npos) return false;
  std::copy(text.begin(), text.end(), copy.begin());
  return inet_pton(AF_INET6, copy.data(), bytes.data()) == 1;
}

bool is_mapped(const std::array<std::uint8_t, 16>& bytes) {
  constexpr std::array<std::uint8_t, kMappedBytes> kHead{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(kHead.begin(), kHead.end(), bytes.begin());
}

Address unmapped(const std::array<std::uint8_t, 16>& bytes) {
  Address address;
  std::copy_n(bytes.data() + kMappedBytes, 4, address.bytes.data());
  return address;
}

}  // namespace

std::optional<Address> Address::parse(std::string_view text) {
  Address address;
  if (text.find(':') == text.npos) {
    if (!parse_ipv4(text, address.bytes.data())) return std::nullopt;
    return address;
  }
  address.family = Family::kIpv6;
  if (!parse_ipv6(text, address.bytes)) return std::nullopt;
  if (is_mapped(address.bytes)) return unmapped(address.bytes);
  return address;
}

std::string Address::to_string() const {
  std::array<char, kHostPortCapacity> buffer;
  const char* end =
      family == Family::kIpv4 ? write_ipv4(buffer.data(), bytes.data()) : write_ipv6(buffer.data(), bytes, true);
  return {buffer.data(), static_cast<std::size_t>(end - buffer.data())};
}

bool Address::is_loopback() const {
  if (family == Family::kIpv4) return bytes[0] == 127;
  return std::all_of(bytes.begin(), bytes.end() - 1, [](std::uint8_t byte) { return byte == 0; }) && bytes[15] == 1;
}

bool Address::is_unspecified() const {
  return std::ranges::all_of(octets(), [](std::uint8_t byte) { return byte == 0; });
}

std::string_view join_host_port(const Address& address, std::uint16_t port, std::span<char, kHostPortCapacity> buffer) {
  char* out = buffer.data();
  if (address.family == Family::kIpv4) {
    out = write_ipv4(out, address.bytes.data());
  } else {
    *out++ = '[';
    out = write_ipv6(out, address.bytes, false);
    *out++ = ']';
  }
  *out++ = ':';
  out = write_number(out, port);
  return {buffer.data(), static_cast<std::size_t>(out - buffer.data())};
}

std::string join_host_port(const Address& address, std::uint16_t port) {
  std::array<char, kHostPortCapacity> buffer;
  return std::string(join_host_port(address, port, buffer));
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const std::string_view address_text = text.substr(0, slash);
  const std::string_view length_text = text.substr(slash + 1);
  unsigned length = 0;
  const char* end = length_text.data() + length_text.size();
  if (length_text.empty() || length_text.size() > 3) return std::nullopt;
  if (const auto [stop, error] = std::from_chars(length_text.data(), end, length); error != std::errc{} || stop != end)
    return std::nullopt;

  const auto address = Address::parse(address_text);
  if (!address) return std::nullopt;
  if (address->family == Family::kIpv4 && address_text.find(':') != address_text.npos) {
    if (length < kMappedBits) return std::nullopt;
    length -= kMappedBits;
  }
  if (length > bits_of(address->family)) return std::nullopt;
  return of(*address, static_cast<std::uint8_t>(length));
}

Prefix Prefix::host(const Address& address) {
  return {address, bits_of(address.family)};
}

Prefix Prefix::of(const Address& address, std::uint8_t length) {
  Prefix prefix{address, std::min(length, bits_of(address.family))};
  std::size_t whole = prefix.length / 8;
  if (const unsigned rest = prefix.length % 8; rest != 0)
    prefix.address.bytes[whole++] &= static_cast<std::uint8_t>(0xff << (8 - rest));
  std::fill(prefix.address.bytes.begin() + static_cast<std::ptrdiff_t>(whole), prefix.address.bytes.end(), 0);
  return prefix;
}

bool Prefix::contains(const Address& other) const {
  return other.family == address.family && of(other, length).address == address;
}

std::string Prefix::to_string() const {
  return address.to_string() + "/" + std::to_string(length);
}

}  // namespace kubenatd::rules
