#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/objects/object_key.h"
#include "rules/address.h"

/// Objects of Gateway API (gateway.networking.k8s.io, v1). They make no rules: only `explain` looks at them.
namespace kubenatd::agent::objects {

struct GatewayClass {
  ObjectKey key;
  std::string controller;
  bool operator==(const GatewayClass&) const = default;
};

struct GatewayListener {
  enum class From : std::uint8_t { kSame, kAll, kSelector, kNone };
  std::string name;
  std::string hostname;  ///< empty: every host; may begin with "*."
  std::uint16_t port = 0;
  std::string protocol;     ///< HTTP, HTTPS, TLS, TCP, UDP, or a controller's own
  From from = From::kSame;  ///< namespaces whose routes it takes
  bool takes_http = true;   ///< allowedRoutes.kinds names HTTPRoute, or nothing
  bool operator==(const GatewayListener&) const = default;
};

struct Gateway {
  ObjectKey key;
  std::string class_name;
  std::vector<GatewayListener> listeners;
  std::vector<rules::Address> addresses;  ///< status, else spec
  bool operator==(const Gateway&) const = default;
};

struct RouteParent {
  ObjectKey gateway;
  std::string section;     ///< the listener's name; empty: every listener
  std::uint16_t port = 0;  ///< of the listener; 0: every one
  bool operator==(const RouteParent&) const = default;
};

struct RouteMatch {
  enum class Path : std::uint8_t { kPrefix, kExact, kRegularExpression };
  Path path_type = Path::kPrefix;
  std::string path = "/";
  std::string method;          ///< empty: every one
  std::size_t headers = 0;     ///< how many headers it asks for
  std::size_t parameters = 0;  ///< how many query parameters
  bool operator==(const RouteMatch&) const = default;
};

struct RouteBackend {
  ObjectKey service;       ///< no name: something else than a Service
  std::uint16_t port = 0;  ///< 0: none is named
  std::uint32_t weight = 1;
  bool operator==(const RouteBackend&) const = default;
};

struct RouteRule {
  std::vector<RouteMatch> matches;  ///< one of them; none: everything
  std::vector<RouteBackend> backends;
  bool redirects = false;  ///< filter RequestRedirect
  bool extended = false;   ///< filter ExtensionRef: the controller's own
  bool operator==(const RouteRule&) const = default;
};

struct HttpRoute {
  ObjectKey key;
  std::int64_t created = 0;  ///< metadata.creationTimestamp, in seconds of the epoch; 0: not told
  std::vector<RouteParent> parents;
  std::vector<std::string> hostnames;  ///< none: every host of the listener
  std::vector<RouteRule> rules;
  bool operator==(const HttpRoute&) const = default;
};

}  // namespace kubenatd::agent::objects
