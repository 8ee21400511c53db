#include "agent/api/proxy.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "agent/api/url.h"
#include "agent/base/printable.h"

namespace kubenatd::agent::api {
namespace {

/// IPv4 as ::ffff:a.b.c.d, so that both ways to write an address are one.
using Bytes = std::array<std::uint8_t, 16>;
constexpr std::size_t kMappedBits = 96;

bool is_mapped(const Bytes& bytes) {
  return std::all_of(bytes.begin(), bytes.begin() + 10, [](auto byte) { return byte == 0; }) && bytes[10] == 0xff &&
         bytes[11] == 0xff;
}

std::optional<Bytes> address_of(const std::string& text) {
  Bytes bytes{};
  if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return bytes;
  bytes[10] = bytes[11] = 0xff;
  if (::inet_pton(AF_INET, text.c_str(), bytes.data() + 12) == 1) return bytes;
  return std::nullopt;
}

/// "010.96.0.1" as client-go's sloppy parser takes it: decimal.
std::string without_leading_zeros(std::string_view text) {
  std::string out;
  bool at_start = true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool digit_follows = i + 1 < text.size() && text[i + 1] >= '0' && text[i + 1] <= '9';
    if (at_start && text[i] == '0' && digit_follows) continue;
    at_start = text[i] == '.';
    out.push_back(text[i]);
  }
  return out;
}

struct Prefix {
  Bytes bytes;
  std::size_t bits;
};

std::optional<Prefix> prefix_of(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  std::string address(text.substr(0, slash));
  if (!address.contains(':')) address = without_leading_zeros(address);
  auto bytes = address_of(address);
  unsigned bits = 0;
  const std::string_view length = text.substr(slash + 1);
  const auto [end, code] = std::from_chars(length.data(), length.data() + length.size(), bits);
  const bool v4 = !address.contains(':');
  if (!bytes || code != std::errc() || end != length.data() + length.size() || bits > (v4 ? 32U : 128U))
    return std::nullopt;
  if (v4) bits += kMappedBits;
  for (std::size_t bit = bits; bit < 128; ++bit)
    (*bytes)[bit / 8] = static_cast<std::uint8_t>((*bytes)[bit / 8] & ~(0x80U >> (bit % 8)));
  return Prefix{*bytes, bits};
}

bool contains(const Prefix& prefix, const Bytes& address) {
  // An IPv6 prefix holds no IPv4 address, also ::/0 not.
  if (is_mapped(prefix.bytes) != is_mapped(address)) return false;
  for (std::size_t bit = 0; bit < prefix.bits; ++bit)
    if (((prefix.bytes[bit / 8] ^ address[bit / 8]) & (0x80U >> (bit % 8))) != 0) return false;
  return true;
}

bool is_loopback(const Bytes& address) {
  constexpr Bytes kOne{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return address == kOne || (is_mapped(address) && address[12] == 127);
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
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
  std::optional<Bytes> address;
};

bool matches(std::string_view entry, const Target& target) {
  if (const auto prefix = prefix_of(entry)) return target.address && contains(*prefix, *target.address);
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
  const Target target{lower(server.host), std::to_string(server.port),
                      address_of(server.host.substr(0, server.host.find('%')))};
  if (target.address && is_loopback(*target.address)) return true;
  bool found = false;
  std::string_view rest = none;
  for (bool more = true; more;) {
    const auto comma = rest.find(',');
    const std::string entry = lower(base::trimmed(rest.substr(0, comma)));
    more = comma != std::string_view::npos;
    if (more) rest.remove_prefix(comma + 1);
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
