#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/api/server_url.h"
#include "rules/error.h"

namespace kubenatd::agent::api {

/// A proxy on the way to the API server.
struct Proxy {
  enum class Kind : std::uint8_t {
    kHttp,    ///< CONNECT for a server with TLS, else whole URLs in requests
    kSocks5,  ///< RFC 1928; names are resolved by the proxy
  };
  Kind kind = Kind::kHttp;
  std::string host;
  std::uint16_t port = 3128;
  std::optional<UserPassword> user;
  std::string said_by;  ///< "environment variable HTTPS_PROXY"; may be empty

  [[nodiscard]] std::string to_string() const;  ///< "http://HOST:PORT", without the user
  /// TLS to the proxy itself (https://) is refused: the way would be TLS in TLS, which the HTTP library has not.
  [[nodiscard]] static rules::Result<Proxy> parse(const std::string& text, const std::string& object,
                                                  const std::string& field);
};

/// HTTP_PROXY, HTTPS_PROXY, NO_PROXY, or in lower case.
struct ProxyEnvironment {
  std::string http;
  std::string https;
  std::string none;
  bool cgi = false;  ///< REQUEST_METHOD is set: HTTP_PROXY may be a client's header "Proxy:", and is not believed
  [[nodiscard]] static ProxyEnvironment of_process();
};

/// What is said about the way to one server; empty: straight on. By the rules of net/http (golang.org/x/net/http/
/// httpproxy) and of client-go, which takes CIDRs with leading zeros, too: a value that is no URL counts as none, and
/// localhost and loopback addresses have never a proxy. Fails when HTTP_PROXY is not to be believed.
[[nodiscard]] rules::Result<std::string> proxy_said(const ProxyEnvironment& environment, const ServerUrl& server);

/// The same, understood.
[[nodiscard]] rules::Result<std::optional<Proxy>> proxy_for(const ProxyEnvironment& environment,
                                                            const ServerUrl& server);

}  // namespace kubenatd::agent::api
