#include "agent/api/access.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "agent/base/file.h"
#include "agent/base/printable.h"

namespace kubenatd::agent::api {
namespace {

constexpr std::size_t kLargestKubeconfig = 4U << 20;  // certificates of many clusters fit

bool is_ipv6(const std::string& host) {
  in6_addr address{};
  return ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

bool is_ipv4(const std::string& host) {
  in_addr address{};
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1;
}

/// What may be in a host name or in a path that goes into a request as it is.
bool is_plain(std::string_view text, std::string_view also) {
  return std::all_of(text.begin(), text.end(), [also](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || also.contains(c);
  });
}

std::string environment(const std::optional<std::string>& given, const char* name) {
  if (given) return *given;
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

rules::Result<ClusterAccess> in_cluster(const PodPlace& pod) {
  const std::string origin = "in-cluster configuration";
  std::string host = environment(pod.host, "KUBERNETES_SERVICE_HOST");
  const std::string port = environment(pod.port, "KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty())
    return rules::fail(origin, "find the API server",
                       "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod, and no "
                       "kubeconfig and no manifests were given");
  if (is_ipv6(host)) host = "[" + host + "]";
  auto server = ServerUrl::parse("https://" + host + ":" + port, origin, "KUBERNETES_SERVICE_HOST, _PORT");
  if (!server) return std::unexpected(server.error());
  ClusterAccess access;
  access.origin = origin;
  access.server = std::move(*server);
  access.authority = {{}, pod.folder + "/ca.crt", "ca.crt"};
  access.token_file = pod.folder + "/token";
  return access;
}

}  // namespace

std::string ServerUrl::authority() const {
  return is_ipv6(host) ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

std::string ServerUrl::to_string() const {
  return fmt::format("{}://{}{}", tls ? "https" : "http", authority(), path);
}

bool ServerUrl::host_is_address() const {
  return is_ipv4(host) || is_ipv6(host);
}

rules::Result<ServerUrl> ServerUrl::parse(const std::string& text, const std::string& object,
                                          const std::string& field) {
  const auto wrong = [&](std::string_view why) {
    return rules::fail(object, field, fmt::format("{} {}", base::in_quotes(text, 200), why));
  };
  ServerUrl url;
  std::string_view rest = base::trimmed(text);
  if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
  } else {
    url.tls = false;
    url.port = 80;
    if (rest.starts_with("http://"))
      rest.remove_prefix(7);
    else if (rest.contains("://"))
      return wrong("is neither http nor https");
  }
  const auto slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  if (slash != std::string_view::npos) url.path = rest.substr(slash);
  while (url.path.ends_with('/')) url.path.pop_back();
  if (!is_plain(url.path, "/-._~%")) return wrong("has more than a path behind the host");

  std::string_view port;
  if (authority.starts_with('[')) {
    const auto bracket = authority.find(']');
    if (bracket == std::string_view::npos) return wrong("has no \"]\"");
    url.host = authority.substr(1, bracket - 1);
    if (!is_ipv6(url.host)) return wrong("has no IPv6 address in its brackets");
    port = authority.substr(bracket + 1);
  } else {
    const auto colon = authority.find(':');
    url.host = authority.substr(0, colon);
    if (url.host.empty() || url.host.size() > 253 || !is_plain(url.host, "-._")) return wrong("has no usable host");
    if (colon != std::string_view::npos) port = authority.substr(colon);
  }
  if (port.empty()) return url;
  unsigned number = 0;
  const auto [end, code] = std::from_chars(port.data() + 1, port.data() + port.size(), number);
  if (!port.starts_with(':') || code != std::errc() || end != port.data() + port.size() || number == 0 ||
      number > 65535)
    return wrong("has no usable port");
  url.port = static_cast<std::uint16_t>(number);
  return url;
}

rules::Result<ClusterAccess> find_access(const AccessOptions& options) {
  ClusterAccess access;
  if (!options.kubeconfig.empty()) {
    const auto text = base::read_file(options.kubeconfig, kLargestKubeconfig, "read kubeconfig");
    if (!text) return std::unexpected(text.error());
    auto parsed = parse_kubeconfig(*text, options.kubeconfig, options.context);
    if (!parsed) return parsed;
    access = std::move(*parsed);
  } else if (options.master.empty()) {
    return in_cluster(options.pod);
  }
  if (!options.master.empty()) {
    auto server = ServerUrl::parse(options.master, "option --master", "address");
    if (!server) return std::unexpected(server.error());
    access.server = std::move(*server);
    if (access.origin.empty()) access.origin = "option --master";
  }
  if (access.server.host.empty())
    return rules::fail(base::one_line(options.kubeconfig, 4096), "clusters[].cluster.server", "is missing");
  return access;
}

}  // namespace kubenatd::agent::api
