#pragma once

#include "rules/address.h"

namespace kubenatd::agent::objects {

/// 169.254.0.0/16, fe80::/10
[[nodiscard]] inline bool is_link_local(const rules::Address& address) {
  const auto& bytes = address.bytes;
  if (address.family == rules::Family::kIpv4) return bytes[0] == 169 && bytes[1] == 254;
  return bytes[0] == 0xfe && (bytes[1] & 0xc0U) == 0x80;
}

/// 224.0.0.0/4, ff00::/8
[[nodiscard]] inline bool is_multicast(const rules::Address& address) {
  const auto& bytes = address.bytes;
  return address.family == rules::Family::kIpv4 ? (bytes[0] & 0xf0U) == 0xe0 : bytes[0] == 0xff;
}

/// 255.255.255.255
[[nodiscard]] inline bool is_broadcast(const rules::Address& address) {
  const auto& bytes = address.bytes;
  return address.family == rules::Family::kIpv4 && bytes[0] == 255 && bytes[1] == 255 && bytes[2] == 255 &&
         bytes[3] == 255;
}

/// An address that packets for a pod can have. The API server takes unspecified, loopback and link-local addresses from
/// nobody (v1.36); without it 127.0.0.1 would be what listens on this node for the node alone.
[[nodiscard]] inline bool can_be_pods(const rules::Address& address) {
  return !address.is_unspecified() && !address.is_loopback() && !is_link_local(address) && !is_multicast(address) &&
         !is_broadcast(address);
}

}  // namespace kubenatd::agent::objects
