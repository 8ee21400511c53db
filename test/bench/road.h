#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "rules/address.h"
#include "test/bench/peer_node.h"

namespace kubenatd::bench {

/// Keeps the calling thread on one processor, always the same: with both ends there, time is what the way of a packet
/// costs, and no processor is woken.
void stay_on_a_processor();

struct Target {
  rules::Address address;
  std::uint16_t port = 0;
};

/// Two nodes of a ControlPlane with a pod on each, in namespaces of their own:
///
///     pod 192.168.97.2 ── node ── node ── pod, at every endpoint of the cluster
///
/// What the first pod sends to an endpoint or a cluster IP is forwarded by both nodes, and so are the answers.
///
/// Threading: one thread uses it; the second pod answers in a thread of its own, on the processor of
/// stay_on_a_processor(). Failure: throws std::runtime_error.
class Road {
 public:
  /// `number`: of the nodes in the control plane; the next one is taken as well.
  Road(const ControlPlane& plane, std::size_t number);
  Road(const Road&) = delete;
  Road& operator=(const Road&) = delete;
  ~Road();

  /// A proxy on both nodes.
  void start(const Proxy& proxy, const Programs& programs);
  /// A rule on both nodes, and it alone, that makes the kernel track connections.
  void track_connections();
  /// Whether a connection is answered.
  [[nodiscard]] bool answers(const Target& to) const;

  /// Each goes on for `length`. Seconds for a byte of one long stream...
  [[nodiscard]] double stream(const Target& to, std::chrono::milliseconds length) const;
  /// ... for a byte there and back over one connection...
  [[nodiscard]] double request(const Target& to, std::chrono::milliseconds length) const;
  /// ... and for a connection with one byte there and back.
  [[nodiscard]] double connection(const Target& to, std::chrono::milliseconds length) const;

 private:
  class Server;

  const ControlPlane& plane_;
  test::Namespace pod_ = test::Namespace::create();
  test::Namespace node_ = test::Namespace::create();
  test::Namespace other_node_ = test::Namespace::create();
  test::Namespace other_pod_ = test::Namespace::create();
  std::unique_ptr<Server> server_;
  std::vector<test::Child> proxies_;
};

}  // namespace kubenatd::bench
