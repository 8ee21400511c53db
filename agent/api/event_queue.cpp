#include "agent/api/event_queue.h"

#include <fmt/format.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

namespace kubenatd::agent::api {
namespace {

constexpr std::size_t kMostLines = 200;
constexpr std::size_t kMostLeftOut = 10'000;

}  // namespace

class EventQueue::Sink : public WatchSink {
 public:
  Sink(EventQueue& queue, std::size_t index) : queue_(queue), index_(index) {}

  void changed(objects::ObjectEvent event) override {
    const base::MutexLock lock(queue_.mutex_);
    queue_.events_.insert_or_assign(sources::ObjectId{event.kind, std::move(event.key)}, std::move(event.object));
    // A list is taken when it is complete, not in a thousand pieces.
    if (queue_.states_[index_].phase == WatchState::Phase::kWatching) queue_.wake();
  }
  void problem(std::string line) override {
    const base::MutexLock lock(queue_.mutex_);
    queue_.problems_.add(std::move(line));
    queue_.wake();
  }
  void left_out(objects::PassedOver&& one) override {
    const base::MutexLock lock(queue_.mutex_);
    if (queue_.left_out_.size() < kMostLeftOut) queue_.left_out_.push_back(std::move(one));
  }
  void remark(std::string line) override {
    const base::MutexLock lock(queue_.mutex_);
    queue_.remarks_.add(std::move(line));
    queue_.wake();
  }
  void state(const WatchState& state) override {
    const base::MutexLock lock(queue_.mutex_);
    queue_.states_[index_] = state;
    queue_.wake();
  }

 private:
  EventQueue& queue_;
  std::size_t index_;
};

void EventQueue::Lines::add(std::string line) {
  if (std::find(lines_.begin(), lines_.end(), line) != lines_.end()) return;
  if (lines_.size() < kMostLines)
    lines_.push_back(std::move(line));
  else
    ++more_;
}

std::vector<std::string> EventQueue::Lines::take() {
  if (more_ > 0) lines_.push_back(fmt::format("and {} lines more", more_));
  more_ = 0;
  return std::exchange(lines_, {});
}

EventQueue::EventQueue(base::Descriptor wake, std::vector<std::string> resources) : wake_(std::move(wake)) {
  for (std::string& resource : resources) {
    WatchState state;
    state.resource = std::move(resource);
    states_.push_back(std::move(state));
    sinks_.push_back(std::make_unique<Sink>(*this, sinks_.size()));
  }
}

rules::Result<std::unique_ptr<EventQueue>> EventQueue::open(std::vector<std::string> resources) {
  base::Descriptor wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) {
    const int code = errno;
    return rules::fail("API source", "eventfd", std::strerror(code), code);
  }
  return std::unique_ptr<EventQueue>(new EventQueue(std::move(wake), std::move(resources)));
}

void EventQueue::wake() {
  if (woken_) return;
  const std::uint64_t one = 1;
  woken_ = ::write(wake_.get(), &one, sizeof(one)) == sizeof(one);
}

ApiUpdate EventQueue::take() {
  ApiUpdate update;
  const base::MutexLock lock(mutex_);
  std::uint64_t count = 0;
  // Nothing to read is fine: it was taken without being asked for.
  if (::read(wake_.get(), &count, sizeof(count)) == sizeof(count) || errno == EAGAIN) woken_ = false;
  update.events.reserve(events_.size());
  for (auto& [id, object] : events_) update.events.push_back({id.kind, id.key, std::move(object)});
  events_.clear();
  update.problems = problems_.take();
  update.remarks = remarks_.take();
  update.left_out = std::exchange(left_out_, {});
  update.states = states_;
  update.synced = std::all_of(states_.begin(), states_.end(), [](const WatchState& state) { return state.synced; });
  return update;
}

}  // namespace kubenatd::agent::api
