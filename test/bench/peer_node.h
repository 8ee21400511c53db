#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "rules/address.h"
#include "test/bench/control_plane.h"
#include "test/support/namespace.h"
#include "test/support/process.h"

namespace kubenatd::bench {

/// A proxy that is measured.
struct Proxy {
  enum class Program : std::uint8_t { kKubenatd, kKubeProxy };
  Program program;
  std::string_view mode;  ///< "nftables" or "iptables"
  [[nodiscard]] std::string name() const;
};

/// Where the programs are.
struct Programs {
  std::filesystem::path kubenatd;
  std::filesystem::path peers;  ///< folder with kube-proxy and kube-apiserver
};

/// Runs a proxy for a node of the control plane in its namespace.
[[nodiscard]] test::Child start_proxy(const ControlPlane& plane, const test::Namespace& node, const Proxy& proxy,
                                      const Programs& programs);

/// A node of a ControlPlane in a namespace of its own: it answers at every endpoint of the cluster, saying which, and a
/// proxy may run on it.
///
/// Threading: one thread uses it; the answers come from a thread of its own. Failure: throws std::runtime_error.
class PeerNode {
 public:
  PeerNode(const ControlPlane& plane, std::size_t number);
  PeerNode(const PeerNode&) = delete;
  PeerNode& operator=(const PeerNode&) = delete;
  ~PeerNode();

  void start(const Proxy& proxy, const Programs& programs);
  [[nodiscard]] pid_t proxy() const { return proxy_->pid(); }
  /// Throws with what the proxy has said when it has ended.
  void must_run();
  /// Connects to a cluster IP once: the endpoint that has answered, or nothing within `patience`.
  [[nodiscard]] std::optional<rules::Address> who_answers(const rules::Address& cluster_ip,
                                                          std::chrono::milliseconds patience) const;
  /// Bytes that have come in from the API server's side, of all layers.
  [[nodiscard]] double received() const;

 private:
  class Answers;
  const ControlPlane& plane_;
  test::Namespace network_ = test::Namespace::create();
  std::unique_ptr<Answers> answers_;
  std::optional<test::Child> proxy_;
};

}  // namespace kubenatd::bench
