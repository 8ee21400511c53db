#pragma once

#include <chrono>
#include <stop_token>

#include "agent/api/proxy.h"
#include "agent/api/server_url.h"
#include "rules/error.h"

namespace kubenatd::agent::api {

/// Asks a proxy, over a connection to it, for the way to the server: CONNECT of HTTP/1.1, or SOCKS5 (RFC 1928, RFC
/// 1929). Afterwards the connection is one to the server.
///
/// Threading: any; blocks the caller. The descriptor is non-blocking. Failure: names the proxy and what it says.
/// ECANCELED: stopped. Cost: one or three round trips; not a byte that the server says is read.
[[nodiscard]] rules::Status open_tunnel(int descriptor, const Proxy& proxy, const ServerUrl& server,
                                        std::chrono::steady_clock::time_point until, const std::stop_token& stop);

}  // namespace kubenatd::agent::api
