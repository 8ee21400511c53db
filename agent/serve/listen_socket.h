#pragma once

#include <cstdint>
#include <utility>

#include "agent/config/bind_address.h"
#include "rules/error.h"

namespace kubenatd::agent::serve {

/// A TCP socket that listens.
///
/// Purpose: binding, with the errno that a person needs to see. An unspecified address, 0.0.0.0 as well as [::], takes
/// both families, as Go's net.Listen does; where the kernel has no IPv6 it takes IPv4 alone. Port 0 takes any free one.
/// Threading: none. Failure: errors name the address. Closed when destroyed.
class ListenSocket {
 public:
  [[nodiscard]] static rules::Result<ListenSocket> open(const config::BindAddress& address);

  ListenSocket(ListenSocket&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), port_(other.port_), ipv6_(other.ipv6_) {}
  ListenSocket& operator=(ListenSocket&& other) noexcept;
  ListenSocket(const ListenSocket&) = delete;
  ListenSocket& operator=(const ListenSocket&) = delete;
  ~ListenSocket();

  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// The socket is one of IPv6, dual-stack or not.
  [[nodiscard]] bool ipv6() const { return ipv6_; }
  /// Hands the descriptor over.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

 private:
  ListenSocket(int fd, bool ipv6) : fd_(fd), ipv6_(ipv6) {}

  int fd_ = -1;
  std::uint16_t port_ = 0;
  bool ipv6_ = false;
};

}  // namespace kubenatd::agent::serve
