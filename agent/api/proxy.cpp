#include "agent/api/proxy.h"

#include <fmt/format.h>

#include <cstdlib>
#include <string_view>

#include "agent/api/url.h"
#include "agent/base/printable.h"
#include "rules/address.h"
#include "rules/words.h"

namespace kubenatd::agent::api {
namespace {

/// Without leading zeros, which only client-go's CIDRs may have.
std::optional<rules::Address> address_of(const std::string& text) {
  return is_ipv4(text) || (is_ipv6(text) && !text.contains('%')) ? rules::Address::parse(text) : std::nullopt;
}

/// Go's net.SplitHostPort.
bool split_host_port(std::string_view text, std::string& host, std::string& port) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  std::size_t rest = 0;
  std::size_t behind = 0;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos || end + 1 != colon) return false;
    host = text.substr(1, end - 1);
    rest = 1;
    behind = end + 1;
  } else {
    host = text.substr(0, colon);
    if (host.contains(':')) return false;
  }
  if (text.find('[', rest) != std::string_view::npos || text.find(']', behind) != std::string_view::npos) return false;
  port = text.substr(colon + 1);
  return true;
}

struct Target {
  std::string host;  ///< in lower case
  std::string port;
  std::optional<rules::Address> address;
};

bool matches(std::string_view entry, const Target& target) {
  if (const auto prefix = rules::Prefix::parse(entry)) return target.address && prefix->contains(*target.address);
  std::string host;
  std::string port;
  if (split_host_port(entry, host, port)) {
    if (host.empty()) return false;
  } else {
    host = entry;
    port.clear();
  }
  const bool port_fits = port.empty() || port == target.port;
  if (const auto address = address_of(host)) return target.address == address && port_fits;
  if (target.address) return false;
  if (host.starts_with("*.")) host.erase(0, 1);
  const bool itself = !host.starts_with('.');
  if (itself) host.insert(host.begin(), '.');
  return port_fits && (target.host.ends_with(host) || (itself && target.host == std::string_view(host).substr(1)));
}

bool goes_straight(const std::string& none, const ServerUrl& server) {
  if (server.host == "localhost") return true;
  const Target target{rules::lower_case(server.host), std::to_string(server.port),
                      address_of(server.host.substr(0, server.host.find('%')))};
  if (target.address && target.address->is_loopback()) return true;
  bool found = false;
  for (const std::string_view part : rules::split(none, ',')) {
    const std::string entry = rules::lower_case(base::trimmed(part));
    if (entry == "*") return true;
    found = found || (!entry.empty() && matches(entry, target));
  }
  return found;
}

/// Without a scheme it is http.
std::optional<Url> parse_said(const std::string& text) {
  std::string cause;
  auto url = Url::parse(text, cause);
  if (!url || url->scheme.empty() || !url->has_host())
    if (auto with_scheme = Url::parse("http://" + text, cause)) return with_scheme;
  return url;
}

std::string variable(const char* upper, const char* lower) {
  for (const char* name : {upper, lower})
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return value;
  return {};
}

rules::Result<Proxy> proxy_of(const Url& url, const std::string& object, const std::string& field) {
  const auto wrong = [&](const std::string& why) { return rules::fail(object, field, why); };
  Proxy proxy;
  proxy.said_by = object + ": " + field;
  if (url.scheme == "https")
    return wrong(
        "a proxy that is spoken to over TLS (https://) is not supported: give its http:// or socks5:// address");
  if (url.scheme == "socks5" || url.scheme == "socks5h") {
    proxy.kind = Proxy::Kind::kSocks5;
    proxy.port = 1080;
  } else if (url.scheme == "http") {
    proxy.port = 80;
  } else {
    return wrong(fmt::format("scheme {} of the proxy is none of http, https, socks5", base::in_quotes(url.scheme, 40)));
  }
  proxy.host = url.host;
  if (!is_usable_host(proxy.host)) return wrong("the proxy's address has no usable host");
  if (!url.port.empty()) {
    const auto port = usable_port(url.port);
    if (!port) return wrong("the proxy's address has no usable port");
    proxy.port = *port;
  }
  if (url.has_user) proxy.user = UserPassword{url.user, url.password};
  return proxy;
}

}  // namespace

std::string Proxy::to_string() const {
  return fmt::format("{}://{}", kind == Kind::kHttp ? "http" : "socks5",
                     ServerUrl{false, host, port, {}, {}}.authority());
}

rules::Result<Proxy> Proxy::parse(const std::string& text, const std::string& object, const std::string& field) {
  std::string cause;
  const auto url = Url::parse(text, cause);
  if (!url) return rules::fail(object, field, "the proxy's address " + cause);
  if (url->scheme == "socks5h")
    return rules::fail(object, field, "scheme \"socks5h\" of the proxy is none of http, https, socks5");
  return proxy_of(*url, object, field);
}

ProxyEnvironment ProxyEnvironment::of_process() {
  const char* method = std::getenv("REQUEST_METHOD");
  return {.http = variable("HTTP_PROXY", "http_proxy"),
          .https = variable("HTTPS_PROXY", "https_proxy"),
          .none = variable("NO_PROXY", "no_proxy"),
          .cgi = method != nullptr && *method != '\0'};
}

rules::Result<std::string> proxy_said(const ProxyEnvironment& environment, const ServerUrl& server) {
  const std::string& said = server.tls ? environment.https : environment.http;
  if (said.empty() || !parse_said(said)) return std::string();
  if (!server.tls && environment.cgi)
    return rules::fail("environment variable HTTP_PROXY", "choose a proxy",
                       "is not used, because REQUEST_METHOD is set: in a CGI program a client can set it");
  return goes_straight(environment.none, server) ? std::string() : said;
}

rules::Result<std::optional<Proxy>> proxy_for(const ProxyEnvironment& environment, const ServerUrl& server) {
  const auto said = proxy_said(environment, server);
  if (!said) return std::unexpected(said.error());
  if (said->empty()) return std::nullopt;
  auto proxy = proxy_of(*parse_said(*said), "environment variable", server.tls ? "HTTPS_PROXY" : "HTTP_PROXY");
  if (!proxy) return std::unexpected(proxy.error());
  return std::move(*proxy);
}

}  // namespace kubenatd::agent::api
