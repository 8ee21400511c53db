#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "rules/error.h"

namespace kubenatd::agent::api {

/// Where to connect to.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  [[nodiscard]] int family() const { return storage.ss_family; }
  [[nodiscard]] std::string to_string() const;  ///< "192.0.2.1:6443", "[fe80::1%eth0]:6443"
  [[nodiscard]] std::string host() const;       ///< without port and zone
};

/// All addresses of a host, which may be an address itself, in the order that the system prefers.
///
/// Purpose: the C library's resolver may take long and cannot be stopped, so it runs on a thread of its own. Waiting
/// ends in time or when asked to stop; the thread ends when the resolver gives up. Whoever asks for a name that is
/// being looked up waits for the same answer, so that threads do not pile up. Threading: any. Failure: names the host
/// and says what the resolver says. Cost: a thread for each name that is looked up now.
[[nodiscard]] rules::Result<std::vector<SocketAddress>> resolve(const std::string& host, std::uint16_t port,
                                                                std::chrono::steady_clock::time_point until,
                                                                const std::stop_token& stop);

}  // namespace kubenatd::agent::api
