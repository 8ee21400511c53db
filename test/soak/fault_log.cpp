#include "test/soak/fault_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace kubenatd::soak {

FaultLog::Window::Window(Window&& other) noexcept : log_(std::exchange(other.log_, nullptr)), number_(other.number_) {}

void FaultLog::Window::end(Clock::duration slack) {
  if (log_ == nullptr) return;
  const std::scoped_lock lock(log_->mutex_);
  log_->faults_[number_].end = Clock::now() + slack;
  log_ = nullptr;
}

FaultLog::Window FaultLog::begin(const std::string& kind, Harm harm, bool counted) {
  const std::scoped_lock lock(mutex_);
  if (counted) ++counts_[kind];
  faults_.push_back({kind, harm, Clock::now()});
  return {*this, faults_.size() - 1};
}

void FaultLog::skip(const std::string& kind, const std::string& why) {
  const std::scoped_lock lock(mutex_);
  skipped_[kind] = why;
}

std::optional<std::string> FaultLog::explain(Harm harm, Time from, Time to, Harm most) const {
  const std::scoped_lock lock(mutex_);
  const Fault* found = nullptr;
  for (const Fault& fault : faults_)
    if (fault.harm >= harm && fault.harm <= most && fault.begin <= to && fault.end >= from &&
        (!found || fault.harm <= found->harm))
      found = &fault;
  return found == nullptr ? std::nullopt : std::optional(found->kind);
}

Time FaultLog::calm_since(Harm harm, Time now) const {
  const std::scoped_lock lock(mutex_);
  Time since{};
  for (const Fault& fault : faults_)
    if (fault.harm >= harm) since = std::max(since, std::min(fault.end, now));
  return since;
}

std::string FaultLog::recent(Time now) const {
  constexpr std::chrono::seconds kRecent{20};
  const std::scoped_lock lock(mutex_);
  std::string text;
  for (const Fault& fault : faults_) {
    if (fault.end < now - kRecent) continue;
    text += fmt::format("    {} from {:.2f} s ago", fault.kind, seconds(now - fault.begin));
    text += fault.end == Time::max() ? "\n" : fmt::format(" to {:.2f} s ago\n", seconds(now - fault.end));
  }
  return text;
}

std::map<std::string, std::size_t> FaultLog::counts() const {
  const std::scoped_lock lock(mutex_);
  return counts_;
}

std::map<std::string, std::string> FaultLog::skipped() const {
  const std::scoped_lock lock(mutex_);
  return skipped_;
}

void Complaints::add(const std::string& what) {
  const std::scoped_lock lock(mutex_);
  ++count_;
  if (count_ <= kShown) fmt::print(stderr, "KUBENATD'S FAULT: {}\n", what);
}

std::size_t Complaints::count() const {
  const std::scoped_lock lock(mutex_);
  return count_;
}

}  // namespace kubenatd::soak
