#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/api/proxy.h"
#include "agent/api/server_url.h"
#include "rules/error.h"

namespace kubenatd::agent::api {

class RequestStats;

/// PEM text, written out or in a file.
struct PemSource {
  std::string text;
  std::string file;   ///< used when there is no text
  std::string field;  ///< what to call it: "clusters[2].cluster.certificate-authority"
  [[nodiscard]] bool given() const { return !text.empty() || !file.empty(); }
};

/// How to reach a cluster, and with which credentials. Files are named here, not read, because their content changes.
/// Credentials are for servers with TLS alone; with plain http they are not used, as in client-go.
struct ClusterAccess {
  std::string origin;  ///< where this was said, for messages: a kubeconfig's path, "in-cluster"
  ServerUrl server;
  PemSource authority;  ///< none: the system's
  PemSource certificate, key;
  std::string token;
  std::string token_file;                ///< goes before `token` while it can be read
  std::string token_field = "token";     ///< what to call the first of them that is given
  std::optional<UserPassword> password;  ///< that in the server's address goes before all
  std::string password_field = "username";
  std::string tls_server_name;
  std::optional<Proxy> proxy;
  bool insecure = false;                  ///< the server's certificate is not checked
  std::vector<std::string> warnings;      ///< one line each, for the log
  std::shared_ptr<RequestStats> stats{};  ///< where requests are counted; none: nowhere
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
  std::optional<ProxyEnvironment> proxies;  ///< none: the process's environment
};

/// Chooses as kube-proxy does (client-go v0.36): the kubeconfig if there is one, and `master` replaces its server; else
/// `master` alone, without credentials; else, or when the kubeconfig names no cluster, the cluster that this pod runs
/// in. A proxy is the kubeconfig's, else the environment's. Errors name file and field.
[[nodiscard]] rules::Result<ClusterAccess> find_access(const AccessOptions& options);

/// The text of a kubeconfig, without the environment. Relative paths in it are relative to the folder of `file`. The
/// error has the code ENODATA when it names no cluster.
[[nodiscard]] rules::Result<ClusterAccess> parse_kubeconfig(const std::string& text, const std::string& file,
                                                            const std::string& context, const std::string& master = {});

}  // namespace kubenatd::agent::api
