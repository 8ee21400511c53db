#pragma once

#include <netinet/in.h>

#include <cstdint>

#include "rules/address.h"
#include "test/support/process.h"

/// Sockets that measurements connect with. Failure: throws std::runtime_error.
namespace kubenatd::bench {

[[nodiscard]] sockaddr_in socket_address(const rules::Address& address, std::uint16_t port);
/// Listens for TCP at every IPv4 address of the calling thread's namespace.
[[nodiscard]] test::Descriptor listen_at(std::uint16_t port);
/// The socket ends with a reset: thousands of connections must not leave thousands of waiting sockets.
void reset_at_close(int socket);

}  // namespace kubenatd::bench
