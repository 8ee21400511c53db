#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "agent/config/config.h"

namespace kubenatd::agent::daemon {

/// Tells that a kube-proxy, or another kubenatd, runs on this node: two of them quarrel over the same chains.
///
/// Threading: one thread. Failure: none; what cannot be found out is not told. Cost: look() takes one connection over
/// loopback, which is refused at once where nobody listens, and half a second at most.
class RivalWatch {
 public:
  using Clock = std::chrono::steady_clock;

  /// To be called before our own servers are open: asks at the address for metrics who is there already.
  void look(const config::Config& config);
  /// Somebody made kube-proxy's canary chains.
  void canary_made_by(const std::string& writer);

  /// The line to log, when there is something to tell: once in ten minutes.
  [[nodiscard]] std::optional<std::string> take(Clock::time_point now);

 private:
  std::string finding_;
  std::optional<Clock::time_point> told_;
};

}  // namespace kubenatd::agent::daemon
