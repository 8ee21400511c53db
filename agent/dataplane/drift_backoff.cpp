#include "agent/dataplane/drift_backoff.h"

#include <algorithm>

namespace kubenatd::agent::dataplane {

std::optional<DriftBackoff::Duration> DriftBackoff::healed(const std::string& chain, Time now) {
  const auto over = [&](const Dispute& one) { return now - one.last > kQuiet + one.delay; };
  if (now - tidied_ > kQuiet) {  // not each time: after a flush, thousands of chains are healed at once
    std::erase_if(disputes_, [&](const auto& one) { return over(one.second); });
    tidied_ = now;
  }
  Dispute& dispute = disputes_[chain];
  if (over(dispute)) dispute = {};
  dispute.last = now;
  if (++dispute.heals <= kFreeHeals) return std::nullopt;
  const Duration before = dispute.delay;
  dispute.delay = before == Duration{} ? kFirstDelay : std::min(kLongestDelay, before * 2);
  dispute.held_until = now + dispute.delay;
  if (dispute.delay == before) return std::nullopt;
  return dispute.delay;
}

DriftBackoff::Time DriftBackoff::held_until(const std::string& chain) const {
  const auto found = disputes_.find(chain);
  return found == disputes_.end() ? Time{} : found->second.held_until;
}

}  // namespace kubenatd::agent::dataplane
