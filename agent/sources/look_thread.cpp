#include "agent/sources/look_thread.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <utility>

#include "agent/base/descriptor.h"
#include "agent/base/signals_blocked.h"
#include "agent/base/thread_annotations.h"

namespace kubenatd::agent::sources {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// A look may take this part of the time (of 10 000 files one takes 50 ms of a CPU),
constexpr int kLookShare = 20;
/// but is not put off for longer.
constexpr milliseconds kLongestPeriod = std::chrono::minutes(1);
constexpr milliseconds kLongestPause = std::chrono::seconds(1);

}  // namespace

struct LookThread::Shared {
  Shared(std::shared_ptr<Followed> files, const Timing& times) : followed(std::move(files)), timing(times) {}

  void run();
  void wake() const {
    const std::uint64_t one = 1;
    (void)!::write(command.get(), &one, sizeof one);
  }
  /// Runs a part of the work and says how long it took.
  template <class Work>
  Clock::duration timed(const Work& work) {
    const auto begin = Clock::now();
    busy_since.store(begin.time_since_epoch().count());
    work();
    busy_since.store(0);
    return Clock::now() - begin;
  }

  const std::shared_ptr<Followed> followed;
  const Timing timing;
  const base::Descriptor command{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  /// Becomes ready with POLLPRI when something is mounted or unmounted (proc(5)). Without it looks come by time alone.
  const base::Descriptor mounts{::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)};
  std::atomic<bool> stop{false};
  std::atomic<bool> everything{false};
  std::atomic<Clock::rep> busy_since{0};  ///< 0: it waits for work
  base::Mutex mutex;
  std::condition_variable_any ended_changed;
  bool ended KUBENATD_GUARDED_BY(mutex) = false;
};

void LookThread::Shared::run() {
  timed([&] { followed->start(); });
  auto last_look = Clock::now();
  auto next_look = last_look + timing.period;
  auto listen_after = last_look;  // to notifications
  constexpr auto kNever = Clock::time_point::max();
  auto settle_at = kNever;
  while (!stop) {
    const auto now = Clock::now();
    const bool listening = now >= listen_after;
    if (!followed->unsettled()) {
      settle_at = kNever;
    } else if (settle_at == kNever) {
      settle_at = now + timing.settle;
    }
    auto until = std::min(next_look, settle_at);
    if (!listening) until = std::min(until, listen_after);
    std::array<pollfd, 3> fds{{{.fd = command.get(), .events = POLLIN, .revents = 0},
                               {.fd = mounts.get(), .events = POLLPRI, .revents = 0},
                               {.fd = listening ? followed->fd() : -1, .events = POLLIN, .revents = 0}}};
    const auto left = std::chrono::ceil<milliseconds>(until - now).count();
    (void)::poll(fds.data(), fds.size(), static_cast<int>(std::max<std::int64_t>(left, 0)));
    if (stop) return;
    if (fds[0].revents != 0) {
      std::uint64_t count = 0;
      (void)!::read(command.get(), &count, sizeof count);
    }
    if (fds[1].revents != 0) next_look = std::min(next_look, last_look + timing.after_mount);
    if (fds[2].revents != 0) {
      const auto took = timed([&] { followed->notified(); });
      listen_after = Clock::now() + std::min<Clock::duration>(took, kLongestPause);
    }
    const bool all = everything.exchange(false);
    if (all || Clock::now() >= next_look) {
      const auto took = timed([&] { followed->look(all); });
      last_look = Clock::now();
      next_look = last_look + std::clamp<Clock::duration>(took * kLookShare, timing.period,
                                                          std::max(timing.period, kLongestPeriod));
      settle_at = kNever;
    } else if (Clock::now() >= settle_at) {
      timed([&] { followed->settle(); });
      settle_at = kNever;
    }
  }
}

LookThread::LookThread(std::shared_ptr<Followed> followed, const Timing& timing)
    : shared_(std::make_shared<Shared>(std::move(followed), timing)) {
  const base::SignalsBlocked blocked;
  thread_ = std::thread([shared = shared_] {
    shared->run();
    const base::MutexLock lock(shared->mutex);
    shared->ended = true;
    shared->ended_changed.notify_all();
  });
}

LookThread::~LookThread() {
  shared_->stop = true;
  shared_->wake();
  {
    base::MutexLock lock(shared_->mutex);
    const bool ended = shared_->ended_changed.wait_for(lock, shared_->timing.patience, [&] {
      shared_->mutex.is_held();
      return shared_->ended;
    });
    if (!ended) {
      thread_.detach();
      return;
    }
  }
  thread_.join();
}

void LookThread::read_everything() {
  shared_->everything = true;
  shared_->wake();
}

milliseconds LookThread::busy_for() const {
  const Clock::rep since = shared_->busy_since.load();
  if (since == 0) return {};
  return std::chrono::duration_cast<milliseconds>(Clock::now() - Clock::time_point(Clock::duration(since)));
}

}  // namespace kubenatd::agent::sources
