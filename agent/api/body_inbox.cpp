#include "agent/api/body_inbox.h"

#include <utility>

namespace kubenatd::agent::api {

void BodyInbox::set_head(ResponseHead head) {
  {
    const base::MutexLock lock(mutex_);
    head_ = std::move(head);
  }
  changed_.notify_all();
}

void BodyInbox::offer(std::string_view block, std::function<void(bool)> taken) {
  {
    base::MutexLock lock(mutex_);
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
    const base::MutexLock lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
}

void BodyInbox::fail(std::string cause) {
  {
    const base::MutexLock lock(mutex_);
    if (failed_) return;
    failed_ = true;
    failure_ = std::move(cause);
  }
  changed_.notify_all();
}

BodyInbox::State BodyInbox::wait_head(Clock::time_point until, const std::stop_token& stop, ResponseHead& head) {
  base::MutexLock lock(mutex_);
  const bool there = changed_.wait_until(lock, stop, until, [this] {
    mutex_.is_held();
    return head_ || failed_;
  });
  if (stop.stop_requested()) return State::kStopped;
  if (!there) return State::kTimeout;
  if (!head_) return State::kFailed;
  head = *head_;
  return State::kReady;
}

BodyInbox::State BodyInbox::next(Clock::time_point until, const std::stop_token& stop, std::string_view& block) {
  base::MutexLock lock(mutex_);
  if (auto taken = block_ ? nullptr : std::exchange(taken_, nullptr)) {
    lock.unlock();  // it may call back
    taken(true);
    lock.lock();
  }
  const bool there = changed_.wait_until(lock, stop, until, [this] {
    mutex_.is_held();
    return block_ || ended_ || failed_;
  });
  if (stop.stop_requested()) return State::kStopped;
  if (!there) return State::kTimeout;
  if (block_) {
    block = *std::exchange(block_, std::nullopt);
    return State::kReady;
  }
  return failed_ ? State::kFailed : State::kEnd;
}

void BodyInbox::abandon() {
  std::function<void(bool)> taken;
  {
    const base::MutexLock lock(mutex_);
    abandoned_ = true;
    block_.reset();
    taken = std::exchange(taken_, nullptr);
  }
  if (taken) taken(false);
}

std::string BodyInbox::failure() const {
  const base::MutexLock lock(mutex_);
  return failure_;
}

}  // namespace kubenatd::agent::api
