#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "rules/address.h"
#include "rules/error.h"
#include "rules/rule.h"

namespace kubenatd::netlink::host {

/// A socket of this network namespace that waits for connections or datagrams from anybody.
struct ListeningSocket {
  rules::Protocol protocol = rules::Protocol::kTcp;
  std::uint16_t port = 0;
  std::optional<rules::Address> address;  ///< none: every address
  auto operator<=>(const ListeningSocket&) const = default;
};

/// All of a protocol (TCP or UDP), in order, each once. A socket of IPv6 on every address counts for IPv4, too,
/// although it may have been told not to (IPV6_V6ONLY).
///
/// Asked by sock_diag, which needs no rights; ENOENT: the kernel has no tcp_diag or udp_diag. Cost: the kernel looks
/// through the sockets that listen (TCP) or all of the protocol (UDP), and tells of those.
[[nodiscard]] rules::Result<std::vector<ListeningSocket>> listening_sockets(rules::Protocol protocol);

}  // namespace kubenatd::netlink::host
