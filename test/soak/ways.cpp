#include "test/soak/ways.h"

#include <algorithm>

namespace kubenatd::soak {

void Behind::set(const std::set<std::string>& pods, Time now) {
  const std::scoped_lock lock(mutex_);
  for (const std::string& pod : now_)
    if (!pods.contains(pod)) left_[pod] = now;
  now_ = pods;
}

std::set<std::string> Behind::pods() const {
  const std::scoped_lock lock(mutex_);
  return now_;
}

std::optional<Time> Behind::left_before(const std::string& pod, Time begun) const {
  const std::scoped_lock lock(mutex_);
  if (now_.contains(pod)) return std::nullopt;
  const auto left = left_.find(pod);
  if (left == left_.end()) return Time::min();
  return left->second >= begun ? std::nullopt : std::optional(left->second);
}

bool drained(const std::vector<Way*>& ways) {
  return std::ranges::all_of(ways, [](const Way* way) { return way->in_flight == 0; });
}

}  // namespace kubenatd::soak
