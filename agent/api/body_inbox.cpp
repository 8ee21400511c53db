#include "agent/api/body_inbox.h"

#include <utility>

namespace kubenatd::agent::api {

void BodyInbox::set_head(ResponseHead head) {
  {
    const std::scoped_lock lock(mutex_);
    head_ = head;
  }
  changed_.notify_all();
}

void BodyInbox::offer(std::string_view block, std::function<void(bool)> taken) {
  {
    std::unique_lock lock(mutex_);
    if (abandoned_ || taken_) {
      lock.unlock();
      taken(false);
      return;
    }
    block_ = block;
    taken_ = std::move(taken);
  }
  changed_.notify_all();
}

void BodyInbox::finish() {
  {
    const std::scoped_lock lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
}

void BodyInbox::fail(std::string cause) {
  {
    const std::scoped_lock lock(mutex_);
    if (failed_) return;
    failed_ = true;
    failure_ = std::move(cause);
  }
  changed_.notify_all();
}

BodyInbox::State BodyInbox::wait_head(Clock::time_point until, const std::stop_token& stop, ResponseHead& head) {
  std::unique_lock lock(mutex_);
  const bool there = changed_.wait_until(lock, stop, until, [this] { return head_ || failed_; });
  if (stop.stop_requested()) return State::kStopped;
  if (!there) return State::kTimeout;
  if (!head_) return State::kFailed;
  head = *head_;
  return State::kReady;
}

BodyInbox::State BodyInbox::next(Clock::time_point until, const std::stop_token& stop, std::string_view& block) {
  std::unique_lock lock(mutex_);
  if (!block_) release(lock, true);
  const bool there = changed_.wait_until(lock, stop, until, [this] { return block_ || ended_ || failed_; });
  if (stop.stop_requested()) return State::kStopped;
  if (!there) return State::kTimeout;
  if (block_) {
    block = *std::exchange(block_, std::nullopt);
    return State::kReady;
  }
  return failed_ ? State::kFailed : State::kEnd;
}

void BodyInbox::abandon() {
  std::unique_lock lock(mutex_);
  abandoned_ = true;
  block_.reset();
  release(lock, false);
}

void BodyInbox::release(std::unique_lock<std::mutex>& lock, bool wanted) {
  auto taken = std::exchange(taken_, nullptr);
  if (!taken) return;
  lock.unlock();  // it may call back
  taken(wanted);
  lock.lock();
}

std::string BodyInbox::failure() const {
  const std::scoped_lock lock(mutex_);
  return failure_;
}

}  // namespace kubenatd::agent::api
