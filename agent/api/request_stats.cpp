#include "agent/api/request_stats.h"

#include <algorithm>

namespace kubenatd::agent::api {

void RequestStats::answered(const std::string& method, unsigned code) {
  constexpr unsigned kMost = 999;
  const std::string text = code == 0 || code > kMost ? std::string("<error>") : std::to_string(code);
  const base::MutexLock lock(mutex_);
  ++counted_.requests[{method, text}];
}

void RequestStats::took(const std::string& method, std::chrono::nanoseconds time) {
  const double seconds = std::chrono::duration<double>(time).count();
  const auto bucket = std::ranges::lower_bound(kBuckets, seconds) - kBuckets.begin();
  const base::MutexLock lock(mutex_);
  Durations& durations = counted_.durations[method];
  ++durations.counts.at(static_cast<std::size_t>(bucket));
  durations.sum += seconds;
}

RequestStats::Snapshot RequestStats::snapshot() const {
  const base::MutexLock lock(mutex_);
  return counted_;
}

}  // namespace kubenatd::agent::api
