#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

namespace kubenatd::agent::daemon {

/// When to read what is local anew.
///
/// Purpose: a change is followed at once, but a storm of changes takes a tenth of the time at most, and what was read
/// right after a change is read once more a second after the last one: the kernel tells that an address is gone
/// before the routes that go with it. Threading: one thread; the caller gives the time. Failure: none. Cost: none.
class AddressPace {
 public:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;
  static constexpr auto kSettled = std::chrono::seconds(1);
  static constexpr int kShare = 9;  ///< so many times as long as it took, nothing is read

  /// Something has changed.
  void changed(Time now) {
    if (!at_) at_ = std::max(now, not_before_);
    settled_ = now + kSettled;
  }
  [[nodiscard]] bool is_due(Time now) const { return next().value_or(Time::max()) <= now; }
  /// When it is due next.
  [[nodiscard]] std::optional<Time> next() const { return at_ ? at_ : settled_; }
  /// It was read.
  void read(Time start, Time end) {
    at_.reset();
    if (settled_ && *settled_ <= start) settled_.reset();
    not_before_ = end + kShare * (end - start);
    if (settled_) settled_ = std::max(*settled_, not_before_);
  }

 private:
  std::optional<Time> at_;
  std::optional<Time> settled_;
  Time not_before_{};
};

}  // namespace kubenatd::agent::daemon
