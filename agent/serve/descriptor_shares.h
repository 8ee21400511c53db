#pragma once

#include <algorithm>
#include <cstddef>

namespace kubenatd::agent::serve {

/// How the descriptors that the process may have are shared out, so that many Services or many clients never take those
/// that the work itself needs.
struct DescriptorShares {
  std::size_t limit = 0;         ///< of the process
  std::size_t connections = 0;   ///< of clients, in each lane of the transport
  std::size_t health_ports = 0;  ///< listening sockets of Services' health check ports

  /// Kept for the work: netlink, the API server's connections, files, epoll, and the servers of our own. A run with an
  /// API server and all of them in use has about 40.
  static constexpr std::size_t kReserve = 96;

  [[nodiscard]] static constexpr DescriptorShares of(std::size_t limit) {
    constexpr std::size_t kFewest = 8;
    constexpr std::size_t kMostConnections = 1024;
    const std::size_t free = limit > kReserve ? limit - kReserve : 0;
    DescriptorShares shares{.limit = limit};
    // There are two lanes; together they get a quarter.
    shares.connections = std::clamp(free / 8, kFewest, kMostConnections);
    shares.health_ports = free > 2 * shares.connections ? free - 2 * shares.connections : 0;
    return shares;
  }
};

}  // namespace kubenatd::agent::serve
