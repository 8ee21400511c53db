#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "rules/error.h"

namespace kubenatd::agent::api {

/// The address of an API server.
struct ServerUrl {
  bool tls = true;
  std::string host;  ///< IPv6 without brackets
  std::uint16_t port = 443;
  std::string path;  ///< empty, or "/..." without a slash at the end

  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] std::string authority() const;  ///< "HOST:PORT", IPv6 in brackets
  /// An IPv4 or IPv6 address, not a name.
  [[nodiscard]] bool host_is_address() const;
  /// "https://HOST[:PORT][/PATH]" or the same with http. Without a scheme it is http, as in client-go. `object` and
  /// `field` say where the text came from; they are used in errors.
  [[nodiscard]] static rules::Result<ServerUrl> parse(const std::string& text, const std::string& object,
                                                      const std::string& field);
};

/// PEM text, written out or in a file.
struct PemSource {
  std::string text;
  std::string file;   ///< used when there is no text
  std::string field;  ///< what to call it: "clusters[2].cluster.certificate-authority"
  [[nodiscard]] bool given() const { return !text.empty() || !file.empty(); }
};

/// How to reach a cluster, and with which credentials. Files are named here, not read, because their content changes.
struct ClusterAccess {
  std::string origin;  ///< where this was said, for messages: a kubeconfig's path, "in-cluster"
  ServerUrl server;
  PemSource authority;  ///< none: the system's
  PemSource certificate, key;
  std::string token;
  std::string token_file;  ///< goes before `token`
  std::string tls_server_name;
  std::optional<ServerUrl> proxy;  ///< http, without a path
  bool insecure = false;           ///< the server's certificate is not checked
};

/// Where a pod finds its cluster. What is not set has the value that Kubernetes gives it.
struct PodPlace {
  std::optional<std::string> host;  ///< KUBERNETES_SERVICE_HOST
  std::optional<std::string> port;  ///< KUBERNETES_SERVICE_PORT
  std::string folder = "/var/run/secrets/kubernetes.io/serviceaccount";
};

struct AccessOptions {
  std::string kubeconfig;  ///< path; empty: none
  std::string context;     ///< empty: the file's current-context
  std::string master;      ///< address of the server, instead of the kubeconfig's
  PodPlace pod;
};

/// Chooses as kube-proxy does: the kubeconfig if there is one, and `master` replaces its server; else `master` alone,
/// without credentials; else the cluster that this pod runs in. Errors name file and field.
[[nodiscard]] rules::Result<ClusterAccess> find_access(const AccessOptions& options);

/// The text of a kubeconfig. Relative paths in it are relative to the folder of `file`.
[[nodiscard]] rules::Result<ClusterAccess> parse_kubeconfig(const std::string& text, const std::string& file,
                                                            const std::string& context);

}  // namespace kubenatd::agent::api
