#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "agent/config/config.h"

namespace kubenatd::agent::daemon {

/// Tells that a kube-proxy, or another kubenatd, runs on this node. Two of them would overwrite the same chains again
/// and again.
///
/// Threading: one thread. Failure: none; what cannot be found out is not reported. Cost: look() opens one connection
/// over loopback. Where nobody listens it is refused at once; else look() takes at most half a second.
class RivalWatch {
 public:
  using Clock = std::chrono::steady_clock;

  /// Asks at the address for metrics whether somebody is there already. Call it before our own servers are open.
  void look(const config::Config& config);
  /// Somebody made kube-proxy's canary chains.
  void canary_made_by(const std::string& writer);

  /// The line to log, if there is one: at most once in ten minutes.
  [[nodiscard]] std::optional<std::string> take(Clock::time_point now);

 private:
  std::string finding_;
  std::optional<Clock::time_point> told_;
};

}  // namespace kubenatd::agent::daemon
