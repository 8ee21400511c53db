#include "agent/api/access.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "agent/api/url.h"
#include "agent/base/file.h"
#include "agent/base/printable.h"

namespace kubenatd::agent::api {
namespace {

constexpr std::size_t kLargestKubeconfig = 4U << 20;  // certificates of many clusters fit

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
  access.token_field = "token";
  return access;
}

rules::Result<ClusterAccess> said_access(const AccessOptions& options) {
  if (options.kubeconfig.empty() && options.master.empty()) return in_cluster(options.pod);
  if (options.kubeconfig.empty()) {
    auto server = ServerUrl::parse(options.master, "option --master", "address");
    if (!server) return std::unexpected(server.error());
    ClusterAccess access;
    access.origin = "option --master";
    access.server = std::move(*server);
    return access;
  }
  const auto text = base::read_file(options.kubeconfig, kLargestKubeconfig, "read kubeconfig");
  if (!text) return std::unexpected(text.error());
  auto parsed = parse_kubeconfig(*text, options.kubeconfig, options.context, options.master);
  if (parsed || parsed.error().code != ENODATA) return parsed;
  auto cluster = in_cluster(options.pod);
  if (!cluster || !base::read_file(cluster->token_file, kLargestKubeconfig, "read token")) return parsed;
  cluster->warnings.push_back(parsed.error().to_string() + ": the cluster of this pod is taken");
  return cluster;
}

/// client-go reads no credentials for a server without TLS.
void drop_credentials(ClusterAccess& access) {
  const auto drop = [&access](const std::string& field) {
    access.warnings.push_back(
        fmt::format("{}: {}: is not sent, because the server's address {} is plain http: write https://", access.origin,
                    field, access.server.to_string()));
  };
  if (!access.token.empty() || !access.token_file.empty())
    drop(access.token_field);
  else if (access.password)
    drop(access.password_field);
  else if (access.certificate.given())
    drop(access.certificate.field);
  else if (access.server.user)
    drop("user in the server's address");
  access.token.clear();
  access.token_file.clear();
  access.password.reset();
  access.server.user.reset();
}

}  // namespace

rules::Result<ClusterAccess> find_access(const AccessOptions& options) {
  auto access = said_access(options);
  if (!access) return access;
  if (!access->server.tls) drop_credentials(*access);
  if (access->proxy) return access;
  auto proxy = proxy_for(options.proxies ? *options.proxies : ProxyEnvironment::of_process(), access->server);
  if (!proxy) return std::unexpected(proxy.error());
  access->proxy = std::move(*proxy);
  return access;
}

}  // namespace kubenatd::agent::api
