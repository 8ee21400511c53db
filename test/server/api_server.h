#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "test/server/scripted_server.h"

/// An API server that holds objects, for whole agents.
namespace kubenatd::test {

inline const std::string kServicesPath = "/api/v1/services";
inline const std::string kSlicesPath = "/apis/discovery.k8s.io/v1/endpointslices";
inline const std::string kNodesPath = "/api/v1/nodes";
inline const std::string kPodsPath = "/api/v1/pods";
inline const std::string kEventsPath = "/apis/events.k8s.io/v1/namespaces/default/events";

/// Services, EndpointSlices, Nodes and, when asked for, Pods in memory, with lists, watches and the troubles of real
/// ones.
///
/// Purpose: LIST in pages or streamed, WATCH from a version, bookmarks, selectors by name and by a Pod's node, bearer
/// tokens; events that are POSTed are kept. It listens on 127.0.0.1 in the network namespace of whoever makes it, there
/// also after it was away. Threading: any; a thread for each connection. Failure: the constructor throws.
class ApiServer {
 public:
  struct Options {
    std::optional<ServerTls> tls;
    std::string token;           ///< empty: everyone is let in
    bool streamed_lists = true;  ///< else sendInitialEvents is refused
    bool pods = false;           ///< else Pods are not found
    std::size_t history = 0;     ///< changes that are kept, as etcd compacts them; 0: all
  };
  ApiServer() : ApiServer(Options{}) {}
  explicit ApiServer(Options options);
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;
  ~ApiServer();

  void put(nlohmann::json object);
  void remove(const std::string& path, const std::string& name_space, const std::string& name);
  /// The objects as manifests: one JSON list.
  [[nodiscard]] std::string manifest() const;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string url() const;

  /// Lists of a resource, and requests for streamed ones, wait until they are let through.
  void hold(const std::string& path, bool hold);
  /// From now on only this token is good. Watches go on, as with a real one.
  void set_token(const std::string& token);
  /// Ends every connection at once.
  void cut();
  /// Whoever asks for changes since an earlier version is told 410 Gone.
  void forget_history();
  /// Says a line on all watches of a resource, as it is.
  void say(const std::string& path, const std::string& line);
  /// Answers requests instead of the server while it returns true.
  void set_trouble(std::function<bool(Reply&)> trouble);
  void go_away();
  void come_back();
  /// The certificate that is shown from the next come_back() on, of a server that has one.
  void set_certificate(const KeyPair& own);

  /// Requests for watches, lists or both so far.
  [[nodiscard]] std::size_t requests(const std::string& path) const;
  /// Watches of a resource that are served now.
  [[nodiscard]] std::size_t watches(const std::string& path) const;
  /// Events that were POSTed.
  [[nodiscard]] std::vector<nlohmann::json> events() const;

 private:
  struct Change {
    std::uint64_t version;
    std::string path;
    std::string type;  ///< empty: `text` is the line
    std::string text;
    std::string name;
    std::string node;  ///< of a Pod
  };
  using Key = std::pair<std::string, std::string>;  ///< namespace and name

  void start();
  void answer(Reply& reply);
  void list(Reply& reply);
  void watch(Reply& reply);
  void take_event(Reply& reply);
  void record(const std::string& path, const std::string& type, const nlohmann::json& object);
  /// Objects of a resource that the request selects, in the order of their keys.
  [[nodiscard]] std::vector<nlohmann::json> selected(const Ask& ask) const;

  Options options_;
  std::uint16_t port_ = 0;
  int home_ = -1;  ///< network namespace
  mutable std::mutex mutex_;
  std::map<std::string, std::map<Key, nlohmann::json>> objects_;
  std::deque<Change> changes_;
  std::size_t dropped_ = 0;  ///< changes that were kept once and are not any more
  std::uint64_t version_ = 100;
  std::uint64_t oldest_ = 0;  ///< version from which changes are known
  std::uint64_t cuts_ = 0;
  std::string token_;
  std::set<std::string> held_;
  std::function<bool(Reply&)> trouble_;
  std::map<std::string, std::size_t> requests_;
  std::map<std::string, std::size_t> watches_;
  std::vector<nlohmann::json> events_;
  std::unique_ptr<ScriptedServer> server_;
};

}  // namespace kubenatd::test
