#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/explain/inventory.h"

namespace kubenatd::agent::explain {

/// What a request asks a Gateway for.
struct RouteRequest {
  std::string host;  ///< lower case, without port
  std::string path;
  bool tls = false;
  std::vector<std::uint16_t> ports;                      ///< of the listener, as far as they can be told; none: any
  std::optional<rules::Address> address = std::nullopt;  ///< asked for; one that a Gateway has is of no other
};

/// The rule of an HTTPRoute that a request falls under.
struct RouteFound {
  const objects::HttpRoute* route = nullptr;  ///< none: no rule fits
  const objects::RouteRule* rule = nullptr;
  const objects::Gateway* gateway = nullptr;
  std::string listener;
  std::string host;  ///< of the route, or of the listener; empty: every host
  std::string path;
  std::string path_type;  ///< PathPrefix, Exact, RegularExpression
  /// What may take the request before this rule, or without one: rules that ask for headers or query parameters,
  /// regular expressions, namespaces by selector, another Gateway that listens for it. One line each.
  std::vector<std::string> doubts;
};

/// Whether the address is one of a Gateway's.
[[nodiscard]] bool is_of_gateway(const Inventory& inventory, const rules::Address& address);

/// Whether there is a Gateway at all that such a request could be for.
[[nodiscard]] bool has_listener(const Inventory& inventory, const RouteRequest& request);

/// Matches as Gateway API v1 describes it (HTTPRouteRule.matches, Listener.hostname): the listener with the most
/// specific host name, then the most specific host name of a route, then Exact before PathPrefix, the longer path
/// first, a match with a method, then the older route, then by name. The request is a GET, of which headers and query
/// parameters are not known.
[[nodiscard]] RouteFound match_http_route(const Inventory& inventory, const RouteRequest& request);

}  // namespace kubenatd::agent::explain
