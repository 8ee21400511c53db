#include "agent/api/server_url.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "agent/api/url.h"
#include "agent/base/base64.h"
#include "agent/base/printable.h"

namespace kubenatd::agent::api {
namespace {

/// Does the steps of rest.DefaultServerURL, and of clientcmd before it, which take a "#" behind a path for its part.
std::optional<Url> default_server_url(const std::string& text, std::string& cause) {
  std::string unused;
  auto url = Url::parse(text, cause);
  if (auto request = Url::parse(text, unused, true); request && !request->opaque && request->path.size() > 1) {
    if (!request->scheme.empty() && request->has_host()) return request;
    cause = "is neither a URL nor HOST:PORT";
    return std::nullopt;
  }
  if (url && !url->scheme.empty() && url->has_host()) return url;
  url = Url::parse("http://" + text, cause);
  if (url && !url->path.empty() && url->path != "/") {
    cause = "is neither a URL nor HOST:PORT";
    return std::nullopt;
  }
  return url;
}

}  // namespace

std::string UserPassword::header() const {
  return "Basic " + base::encode_base64(user + ":" + password);
}

std::string ServerUrl::authority() const {
  if (!is_ipv6(host)) return fmt::format("{}:{}", host, port);
  return fmt::format("[{}]:{}", std::string_view(host).substr(0, host.find('%')), port);
}

std::string ServerUrl::to_string() const {
  return fmt::format("{}://{}{}", tls ? "https" : "http", authority(), path);
}

bool ServerUrl::host_is_address() const {
  return is_ipv4(host) || is_ipv6(host);
}

bool is_usable_host(const std::string& host) {
  if (is_ipv6(host)) return host.find_first_of("/% \t", host.find('%') + 1) == std::string::npos;
  constexpr std::size_t kLongest = 254;  // with a dot at its end
  if (host.empty() || host.size() > kLongest || !std::all_of(host.begin(), host.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
               c == '_';
      }))
    return false;
  // "127.1" and "0x7f.1" are addresses to the C library, and no names to Go.
  std::string_view last = host;
  if (last.ends_with('.')) last.remove_suffix(1);
  last = last.substr(last.rfind('.') + 1);
  const bool number = !last.empty() && last[0] >= '0' && last[0] <= '9' &&
                      last.find_first_not_of("0123456789abcdefABCDEFxX") == std::string_view::npos &&
                      (last.starts_with("0x") || last.find_first_not_of("0123456789") == std::string_view::npos);
  return !number || is_ipv4(host);
}

std::optional<std::uint16_t> usable_port(const std::string& digits) {
  unsigned number = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (code != std::errc() || end != digits.data() + digits.size() || number == 0 || number > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(number);
}

rules::Result<ServerUrl> ServerUrl::parse(const std::string& text, const std::string& object,
                                          const std::string& field) {
  const auto wrong = [&](std::string_view why) {
    // A password in it is nothing for a log.
    const auto at = text.rfind('@');
    const std::string shown = at == std::string::npos ? text : "..." + text.substr(at);
    return rules::fail(object, field, fmt::format("{} {}", base::in_quotes(shown, 200), why));
  };
  if (text.empty()) return wrong("is empty");
  std::string cause;
  const auto parsed = default_server_url(text, cause);
  if (!parsed) return wrong(cause);
  if (parsed->scheme != "https" && parsed->scheme != "http") return wrong("is neither http nor https");
  ServerUrl url;
  url.tls = parsed->scheme == "https";
  url.host = parsed->host;
  if (!is_usable_host(url.host)) {
    const bool ascii =
        std::all_of(url.host.begin(), url.host.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    return wrong(ascii ? "has no usable host"
                       : "has no usable host: a name in other letters is written as \"xn--...\"");
  }
  url.port = url.tls ? 443 : 80;
  if (!parsed->port.empty()) {
    const auto port = usable_port(parsed->port);
    if (!port) return wrong("has no usable port");
    url.port = *port;
  }
  url.path = escaped_path(cleaned_path(parsed->path));
  if (url.path == "/") url.path.clear();
  if (parsed->has_user) url.user = UserPassword{parsed->user, parsed->password};
  return url;
}

}  // namespace kubenatd::agent::api
