#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kubenatd::netlink::walk {

/// What nft's number of a set's key says: the kernel keeps it without knowing it (NFTA_SET_KEY_TYPE).
struct KeyType {
  std::string text;                  ///< "ipv4_addr . inet_service"; empty: not known
  std::vector<std::uint16_t> sizes;  ///< bytes of each part; 0: the type does not say
};
[[nodiscard]] KeyType key_type(std::uint32_t number);

}  // namespace kubenatd::netlink::walk
