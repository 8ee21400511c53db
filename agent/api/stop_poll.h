#pragma once

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "agent/base/descriptor.h"

namespace kubenatd::agent::api {

/// poll(2) that ends at once when it is asked to stop.
///
/// Threading: one thread; the stop may come from any. Failure: without a descriptor of its own it looks at the stop
/// token every 50 ms.
class StopPoll {
 public:
  using Clock = std::chrono::steady_clock;
  enum class State : std::uint8_t { kReady, kTimeout, kStopped };

  explicit StopPoll(const std::stop_token& stop)
      : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), stop_(stop), callback_(stop, [this] {
          constexpr std::uint64_t kOne = 1;
          [[maybe_unused]] const auto written = ::write(wake_.get(), &kOne, sizeof(kOne));
        }) {}

  [[nodiscard]] State wait(std::span<pollfd> descriptors, Clock::time_point until) const {
    std::vector<pollfd> all(descriptors.begin(), descriptors.end());
    all.push_back({wake_.get(), POLLIN, 0});
    for (;;) {
      if (stop_.stop_requested()) return State::kStopped;
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
      constexpr std::int64_t kBlind = 50;
      constexpr std::int64_t kLongest = 60'000;
      const auto time = std::clamp<std::int64_t>(left, 0, wake_ ? kLongest : kBlind);
      const int ready = ::poll(all.data(), all.size(), static_cast<int>(time));
      if (stop_.stop_requested()) return State::kStopped;
      if (ready > 0) {
        std::copy(all.begin(), all.end() - 1, descriptors.begin());
        return State::kReady;
      }
      if (ready < 0 && errno != EINTR) return State::kTimeout;  // no memory: as if nothing came
      if (ready == 0 && left <= time) return State::kTimeout;
    }
  }

 private:
  const base::Descriptor wake_;
  const std::stop_token stop_;
  const std::stop_callback<std::function<void()>> callback_;
};

}  // namespace kubenatd::agent::api
