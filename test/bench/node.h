#pragma once

#include <memory>
#include <vector>

#include "agent/config/config.h"
#include "agent/daemon/serving.h"
#include "agent/dataplane/reconciler.h"

namespace kubenatd::bench {

/// An agent without its event loop, on this network namespace. Ends the program when anything fails.
///
/// Threading: one thread; HTTP has its own. Cost: none of its own.
class Node {
 public:
  explicit Node(agent::config::Config config);
  /// From now on a round has all that it has in the agent: what is told over HTTP follows it.
  void serve();
  /// What the agent's loop does when a change is committed: reads what the kernel announces of it.
  void listen();
  /// Whether anything was written.
  bool apply(std::vector<agent::objects::ObjectEvent> events);

 private:
  [[noreturn]] static void fail(const std::string& why);

  std::unique_ptr<agent::dataplane::Model> model_;
  agent::dataplane::NetlinkKernel kernel_;
  std::unique_ptr<agent::dataplane::Reconciler> reconciler_;
  std::unique_ptr<agent::daemon::Serving> serving_;
};

/// The model of a node in a cluster of IPv4.
[[nodiscard]] std::unique_ptr<agent::dataplane::Model> make_model(agent::config::Config config);

}  // namespace kubenatd::bench
