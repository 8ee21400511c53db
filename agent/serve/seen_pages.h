#pragma once

#include <map>
#include <string>

#include "agent/seen/board.h"
#include "agent/seen/inquiries.h"
#include "agent/serve/http_server.h"

/// What the agent knows, as JSON documents for `kubenatd status`, `kubenatd services` and pages.
///
///     /kubenatd/v1/status
///     /kubenatd/v1/services?search=web&limit=50    see seen::ServicesQuery
///     /kubenatd/v1/history?after=17
///     /kubenatd/v1/log                             text: the last lines of the log, without what looks like a secret
///
/// GET and HEAD only, with an ETag; who sends it back gets 304 until something has changed. A request that names a host
/// other than an address or localhost is refused: a web page that had its own name lead here could read everything.
namespace kubenatd::agent::serve {

/// Handlers refer to what they are made from. Those for Services may wait some seconds: not for the lane of probes.
[[nodiscard]] std::map<std::string, HttpHandler> seen_pages(const seen::Board& board, seen::Inquiries& inquiries);

/// "127.0.0.1", "[::1]:10249", "localhost:80", or nothing.
[[nodiscard]] bool is_address_or_localhost(std::string_view host);

inline constexpr const char* kStatusPath = "/kubenatd/v1/status";
inline constexpr const char* kServicesPath = "/kubenatd/v1/services";
inline constexpr const char* kHistoryPath = "/kubenatd/v1/history";
inline constexpr const char* kLogPath = "/kubenatd/v1/log";

}  // namespace kubenatd::agent::serve
