#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

namespace kubenatd::agent::dataplane {

/// Keeps two writers from spinning: a chain that has been healed again and again waits longer and longer for the next
/// time. Healing at once is the rule; only a fight is slowed down.
///
/// Threading: one thread; the caller brings the time. Failure: none. Cost: one entry a chain that was healed in the
/// last minute.
class DriftBackoff {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  static constexpr int kFreeHeals = 5;                          ///< in a row, without any delay
  static constexpr Duration kQuiet = std::chrono::seconds(30);  ///< without a heal: the dispute is over
  static constexpr Duration kFirstDelay = std::chrono::milliseconds(100);
  static constexpr Duration kLongestDelay = std::chrono::seconds(10);

  /// Notes that `chain` had to be healed. Returns the new delay when this one made it longer.
  std::optional<Duration> healed(const std::string& chain, Time now);
  /// Until when `chain` is to be left alone; the past when it is not in dispute.
  [[nodiscard]] Time held_until(const std::string& chain) const;

 private:
  struct Dispute {
    Time last{};
    Time held_until{};
    Duration delay{};
    int heals = 0;
  };
  std::map<std::string, Dispute> disputes_;
  Time tidied_{};
};

}  // namespace kubenatd::agent::dataplane
