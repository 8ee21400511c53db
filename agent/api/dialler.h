#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/api/resolver.h"
#include "agent/api/timing.h"
#include "agent/base/descriptor.h"
#include "rules/error.h"

namespace kubenatd::agent::api {

/// A TCP connection that stands.
///
/// connect(2) was called on it once and said EINPROGRESS, and nobody has called it since: in this state Linux answers
/// the next call with success, whatever address it names (net/ipv4/af_inet.c: a socket that is SS_CONNECTING and has
/// been established). So the HTTP library, which wants to connect by itself, can be given the socket.
struct Dialled {
  base::Descriptor socket;
  SocketAddress peer;
};

/// Connects to a host and takes the first of its addresses that answers (RFC 8305).
///
/// Purpose: the addresses are tried alternating between IPv6 and IPv4. Each has a head start before the next (250 ms),
/// or until it fails, and then they go on side by side, each with a time of its own; so an address that swallows
/// packets costs a quarter of a second. `last_resort` is tried last: it answered, and then was no good. The connection
/// is probed when it is silent, and given up when the other side is gone for 30 s. Threading: any; blocks the caller.
/// Failure: names each address with what is wrong with it. ECANCELED: stopped. Cost: a socket for each address.
[[nodiscard]] rules::Result<Dialled> dial(const std::string& host, std::uint16_t port, const ApiTiming& timing,
                                          std::chrono::steady_clock::time_point until, const std::stop_token& stop,
                                          const std::string& last_resort = {});

/// The same with the addresses of a host, in the order in which they are tried.
[[nodiscard]] rules::Result<Dialled> dial_addresses(std::vector<SocketAddress> order, const ApiTiming& timing,
                                                    std::chrono::steady_clock::time_point until,
                                                    const std::stop_token& stop);

/// The order in which addresses are tried.
[[nodiscard]] std::vector<SocketAddress> dial_order(const std::vector<SocketAddress>& addresses,
                                                    const std::string& last_resort);

}  // namespace kubenatd::agent::api
