#include "rules/nftables/endpoint_id.h"

#include <bit>
#include <cstddef>
#include <cstring>

#include "rules/nftables/element.h"

namespace kubenatd::rules::nftables {

std::uint32_t jhash(std::span<const std::uint8_t> bytes, std::uint32_t seed) {
  constexpr std::size_t kBlock = 12;
  const std::uint32_t start = 0xdeadbeefU + static_cast<std::uint32_t>(bytes.size()) + seed;
  std::uint32_t a = start, b = start, c = start;
  const auto step = [](std::uint32_t& changed, std::uint32_t by, int turn, std::uint32_t& grows, std::uint32_t with) {
    changed = (changed - by) ^ std::rotl(by, turn);
    grows += with;
  };
  for (; bytes.size() > kBlock; bytes = bytes.subspan(kBlock)) {
    std::uint32_t words[3];
    std::memcpy(words, bytes.data(), sizeof words);  // in the order of the host
    a += words[0];
    b += words[1];
    c += words[2];
    step(a, c, 4, c, b);
    step(b, a, 6, a, c);
    step(c, b, 8, b, a);
    step(a, c, 16, c, b);
    step(b, a, 19, a, c);
    step(c, b, 4, b, a);
  }
  if (bytes.empty()) return c;
  std::uint32_t rest[3] = {};
  for (std::size_t i = 0; i < bytes.size(); ++i) rest[i / 4] |= static_cast<std::uint32_t>(bytes[i]) << i % 4 * 8;
  a += rest[0];
  b += rest[1];
  c += rest[2];
  const auto end = [](std::uint32_t& changed, std::uint32_t by, int turn) {
    changed = (changed ^ by) - std::rotl(by, turn);
  };
  end(c, b, 14);
  end(a, c, 11);
  end(b, a, 25);
  end(c, b, 16);
  end(a, c, 4);
  end(b, a, 14);
  end(c, b, 24);
  return c;
}

std::uint32_t endpoint_id(const Address& address, std::uint16_t port) {
  Bytes<kDataCapacity> bytes;
  bytes.address(address).port(port);
  const std::uint64_t hash = jhash({bytes.data.data(), bytes.size}, kHashSeed);
  return static_cast<std::uint32_t>(hash * kEndpointIds >> 32U) + kOwn;  // the kernel's reciprocal_scale()
}

}  // namespace kubenatd::rules::nftables
