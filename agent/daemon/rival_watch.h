#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "agent/config/config.h"
#include "agent/dataplane/left_behind.h"

namespace kubenatd::agent::daemon {

/// Tells that a kube-proxy, or another kubenatd, runs on this node. Two of them would overwrite the same chains again
/// and again.
///
/// It is asked for its mode at our own address for metrics and at kube-proxy's default one, and, where that does not
/// tell, for its health in the same way; a port that we serve ourselves is not asked.
/// Threading: one thread. Failure: none; what cannot be found out is not reported. Cost: at most four connections over
/// loopback. Where nobody listens they are refused at once; else each takes at most half a second.
class RivalWatch {
 public:
  using Clock = std::chrono::steady_clock;

  /// Whether a port is open for one of our own servers.
  using IsOurs = std::function<bool(std::uint16_t port)>;

  /// Asks whether somebody is there already. Call it before our own servers are open.
  void look(const config::Config& config);
  /// Where somebody answers who may have made such rules: "127.0.0.1:10249, its mode is nftables"; none: nowhere.
  [[nodiscard]] static std::optional<std::string> find_maker(const config::Config& config, dataplane::LeftBehind what,
                                                             const IsOurs& is_ours);
  /// Somebody made kube-proxy's canary chains.
  void canary_made_by(const std::string& writer);

  /// The line to log, if there is one: at most once in ten minutes.
  [[nodiscard]] std::optional<std::string> take(Clock::time_point now);

 private:
  std::string finding_;
  std::optional<Clock::time_point> told_;
};

}  // namespace kubenatd::agent::daemon
