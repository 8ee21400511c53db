#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>

#include "agent/api/timing.h"

namespace kubenatd::agent::api {

/// Growing delays between failed tries, as in client-go's reflector: each is twice the one before, up to a limit, plus
/// a random part of up to its own length. After a time without failures the delays start small again.
///
/// Threading: none of its own. Failure: none.
class Backoff {
 public:
  using Clock = std::chrono::steady_clock;
  using Duration = ApiTiming::Duration;

  explicit Backoff(const ApiTiming& timing) : timing_(timing), random_(std::random_device{}()) {}

  /// How long to wait after a failure at `now`.
  [[nodiscard]] Duration next(Clock::time_point now) {
    if (!quiet_since_ || now - *quiet_since_ > timing_.backoff_forget) delay_ = timing_.backoff_first;
    const Duration chosen = delay_ + between(Duration(0), delay_);
    delay_ = std::min(delay_ * 2, timing_.backoff_most);
    quiet_since_ = now + chosen;
    return chosen;
  }

  /// A random time in [least, most).
  [[nodiscard]] Duration between(Duration least, Duration most) {
    if (most <= least) return least;
    return Duration(std::uniform_int_distribution<Duration::rep>(least.count(), most.count() - 1)(random_));
  }

 private:
  const ApiTiming& timing_;
  std::minstd_rand random_;
  Duration delay_{};
  std::optional<Clock::time_point> quiet_since_;
};

}  // namespace kubenatd::agent::api
