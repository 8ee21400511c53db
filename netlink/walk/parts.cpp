#include "netlink/walk/parts.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <cstddef>
#include <span>

namespace kubenatd::netlink::walk {

using namespace rules::walk;

std::optional<std::uint16_t> end_of_field(Payload::Base base, std::uint16_t offset,
                                          std::optional<std::uint8_t> family) {
  static constexpr std::uint16_t kPorts[] = {2, 4};
  static constexpr std::uint16_t kIp[] = {1, 2, 4, 6, 8, 9, 10, 12, 16, 20};
  static constexpr std::uint16_t kIp6[] = {4, 6, 7, 8, 24, 40};
  std::span<const std::uint16_t> ends;
  if (base == Payload::Base::kTransport) ends = kPorts;
  if (base == Payload::Base::kNetwork && family == NFPROTO_IPV4) ends = kIp;
  if (base == Payload::Base::kNetwork && family == NFPROTO_IPV6) ends = kIp6;
  const auto end = std::ranges::upper_bound(ends, offset);
  if (end == ends.end()) return std::nullopt;
  return *end;
}

}  // namespace kubenatd::netlink::walk
