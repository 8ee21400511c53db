#pragma once

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "test/server/api_server.h"
#include "test/support/cluster.h"
#include "test/support/lab.h"
#include "test/support/process.h"

/// A node with kubenatd on it and an API server, all in one network namespace.
namespace kubenatd::test {

/// Longer than the agent's own delays between tries, also on a loaded machine.
inline constexpr std::chrono::seconds kPatience{40};

/// A Service of namespace demo on port 80.
[[nodiscard]] nlohmann::json service_object(const std::string& name, const std::string& address, int node_port = 0);
/// Its only EndpointSlice, on port 8080.
[[nodiscard]] nlohmann::json slice_object(const std::string& service, const std::vector<std::string>& addresses);
/// node-1, in zone-a.
[[nodiscard]] nlohmann::json node_object(const std::vector<std::string>& addresses = {kNode, kNode6});

/// What a server in the namespace answers to a GET; status 0: nobody answered.
struct HttpAnswer {
  int status = 0;
  std::string body;
};
[[nodiscard]] HttpAnswer http_get(const Namespace& where, std::uint16_t port, const std::string& path);

/// Threading: one thread. Failure: the constructor throws.
class ClusterNode {
 public:
  explicit ClusterNode(ApiServer::Options options = {}, const std::string& authority = {});

  BareNode bare;
  TempFolder files;

 private:
  std::optional<Inside> inside_;  ///< while the server is made

 public:
  ApiServer server;

  /// config.yaml, with YAML added to it.
  void configure(const std::string& extra = {}) const;
  /// kubeconfig.yaml, for a server with this address; `credentials` is JSON of a user.
  void write_kubeconfig(const std::string& url, const nlohmann::json& credentials = nlohmann::json::object()) const;
  /// Whole lines of the program's arguments with configuration and kubeconfig.
  [[nodiscard]] std::vector<std::string> command(const std::string& verb,
                                                 const std::vector<std::string>& more = {}) const;
  [[nodiscard]] Child start(const std::vector<std::string>& more = {}) const;
  [[nodiscard]] ProcessResult invoke(const std::string& verb, const std::vector<std::string>& more = {}) const {
    return run_in(bare.node, command(verb, more));
  }
  /// What the server holds, put on an empty node by a fresh start, as saved_rules() shows it.
  [[nodiscard]] std::string fresh_rules(bool ipv6 = false) const;

  [[nodiscard]] bool has(const std::string& rule) const { return has_rule(bare.node, rule); }
  [[nodiscard]] bool comes(const std::string& rule) const {
    return eventually([&] { return has(rule); }, kPatience);
  }
  [[nodiscard]] bool goes(const std::string& rule) const {
    return eventually([&] { return !has(rule); }, kPatience);
  }
  /// Every resource is watched: what comes now is told by events.
  [[nodiscard]] bool is_watched() const;

 private:
  std::string authority_;
};

/// True when the log holds the text within the time.
[[nodiscard]] bool says(const Child& agent, const std::string& text);

}  // namespace kubenatd::test
