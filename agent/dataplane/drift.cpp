#include "agent/dataplane/drift.h"

#include <algorithm>
#include <utility>

namespace kubenatd::agent::dataplane {

bool Drift::suspect(const rules::ObjectRef& object, Time now) {
  suspect_everything(now);
  const Time until = held_until(object);
  if (until <= now) return true;
  held_.insert_or_assign(object, until);
  return false;
}

bool Drift::find(const rules::ObjectRef& object, Time now) {
  found_.insert(object);
  const Time until = held_until(object);
  if (until <= now) return true;
  held_.insert_or_assign(object, until);
  return false;
}

void Drift::heal(const rules::ObjectRef& object, Time now) {
  if (now - tidied_ > kQuiet) {  // not each time: after a flush, thousands of chains are healed at once
    std::erase_if(histories_, [&](const auto& one) { return is_over(one.second, now); });
    tidied_ = now;
  }
  found_.insert(object);
  report_.healed.push_back(object);
  held_.erase(object);
  History& history = histories_[object];
  if (is_over(history, now)) history = {};
  history.last = now;
  if (++history.heals <= kFreeHeals) return;
  const Clock::duration before = history.delay;
  history.delay = before == Clock::duration{} ? kFirstDelay : std::min(kLongestDelay, before * 2);
  history.held_until = now + history.delay;
  if (history.delay != before) report_.disputes.push_back({object, history.delay});
}

std::vector<rules::ObjectRef> Drift::take_due(Time now) {
  std::vector<rules::ObjectRef> due;
  std::erase_if(held_, [&](const auto& one) {
    if (one.second > now) return false;
    due.push_back(one.first);
    return true;
  });
  return due;
}

std::optional<Time> Drift::due() const {
  std::optional<Time> first;
  for (const auto& [object, until] : held_)
    if (!first || until < *first) first = until;
  return first;
}

Time Drift::held_until(const rules::ObjectRef& object) const {
  const auto found = histories_.find(object);
  return found == histories_.end() ? Time{} : found->second.held_until;
}

Drift::Report Drift::take_report() {
  report_.found.assign(found_.begin(), found_.end());
  found_.clear();
  if (!report_.healed.empty()) report_.healed_since = suspected_since_;
  return std::exchange(report_, {});
}

}  // namespace kubenatd::agent::dataplane
