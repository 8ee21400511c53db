#include "test/soak/figures.h"

#include <fmt/format.h>

#include <algorithm>

#include "test/support/process.h"

namespace kubenatd::soak {
namespace {

void note(std::map<std::string, Figures::Longest>& all, const std::string& fault, Clock::duration time) {
  Figures::Longest& longest = all[fault];
  longest.time = std::max(longest.time, time);
  ++longest.count;
}

}  // namespace

void Figures::answered(const std::string& kind) {
  const std::scoped_lock lock(mutex_);
  ++summary_.answered[kind];
}

void Figures::failed(const std::string& kind, const std::string& what, const std::string& how, Time begun, Time ended) {
  const auto fault = faults_.explain(Harm::kRules, begun, ended);
  {
    const std::scoped_lock lock(mutex_);
    ++summary_.failed[fmt::format("{} during {}", how, fault.value_or(kNoFault))];
  }
  if (!fault)
    complaints_.add(fmt::format("{}: {}: {}, from {:.2f} s ago; faults of then:\n{}", kind, what, how,
                                seconds(Clock::now() - begun), faults_.recent(Clock::now())));
}

void Figures::strayed(const std::string& kind, const std::string& what, const std::string& pod, Time left, Time begun,
                      Time ended) {
  if (left == Time::min()) {
    const std::scoped_lock lock(mutex_);
    ++summary_.failed[fmt::format("answered by {}, which was never behind it", pod)];
    complaints_.add(fmt::format("{}: {}: answered by {}, which was never behind it", kind, what, pod));
    return;
  }
  const auto fault = faults_.explain(Harm::kNews, left, ended);
  {
    const std::scoped_lock lock(mutex_);
    note(summary_.strayed, fault.value_or(kNoFault), begun - left);
  }
  if (!fault && begun - left > kLate * test::patience())
    complaints_.add(fmt::format("{}: {}: answered by {}, which had left {:.2f} s before; faults of then:\n{}", kind,
                                what, pod, seconds(begun - left), faults_.recent(Clock::now())));
}

void Figures::wrong_from(Time from, Time to, const std::string& how) {
  const auto fault = faults_.explain(Harm::kNews, from, to);
  {
    const std::scoped_lock lock(mutex_);
    note(summary_.wrong, fault.value_or(kNoFault), to - from);
  }
  if (!fault && to - from > kLate * test::patience())
    complaints_.add(fmt::format("for {:.2f} s new connections to a Service were {}; faults of then:\n{}",
                                seconds(to - from), how, faults_.recent(Clock::now())));
}

Figures::Summary Figures::summary() const {
  const std::scoped_lock lock(mutex_);
  return summary_;
}

}  // namespace kubenatd::soak
