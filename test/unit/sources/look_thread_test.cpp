#include "agent/sources/look_thread.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdint>
#include <functional>
#include <future>
#include <semaphore>

namespace kubenatd::agent::sources::test {
namespace {

using std::chrono::milliseconds;

/// Counts what it is asked for. A look waits for `gate` when that is closed, as for a file server that is away.
class Counted final : public LookThread::Followed {
 public:
  ~Counted() override {
    ::close(notified_fd);
    if (on_end) on_end();
  }

  [[nodiscard]] int fd() const override { return notified_fd; }
  void start() override { ++starts; }
  void notified() override {
    std::uint64_t count = 0;
    (void)!::read(notified_fd, &count, sizeof count);
    ++notifications;
    unsettled_ = true;
  }
  void look(bool all) override {
    ++looks;
    if (all) ++everything;
    if (!closed) return;
    waiting.release();
    gate.acquire();
  }
  [[nodiscard]] bool unsettled() const override { return unsettled_; }
  void settle() override {
    ++settled;
    unsettled_ = false;
  }

  const int notified_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  std::atomic<int> starts{0}, notifications{0}, looks{0}, everything{0}, settled{0};
  std::atomic<bool> closed{false};
  std::counting_semaphore<> waiting{0}, gate{0};
  std::function<void()> on_end;

 private:
  bool unsettled_ = false;
};

bool comes(const std::function<bool()>& what) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!what()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

constexpr LookThread::Timing kNever{.period = std::chrono::hours(1),
                                    .settle = milliseconds(1),
                                    .after_mount = std::chrono::hours(1),
                                    .patience = milliseconds(20)};

}  // namespace

TEST_CASE("the thread starts once and looks again and again") {
  const auto files = std::make_shared<Counted>();
  LookThread::Timing often = kNever;
  often.period = milliseconds(1);
  const LookThread thread(files, often);
  CHECK(comes([&] { return files->looks >= 3; }));
  CHECK(files->starts == 1);
  CHECK(files->everything == 0);
}

TEST_CASE("notifications are heard at once and what is unsettled is looked at again") {
  const auto files = std::make_shared<Counted>();
  const LookThread thread(files, kNever);
  for (int i = 1; i <= 3; ++i) {
    const std::uint64_t one = 1;
    REQUIRE(::write(files->notified_fd, &one, sizeof one) == sizeof one);
    CHECK(comes([&] { return files->notifications == i && files->settled == i; }));
  }
  CHECK(files->looks == 0);
}

TEST_CASE("everything is read when that is asked for") {
  const auto files = std::make_shared<Counted>();
  LookThread thread(files, kNever);
  thread.read_everything();
  CHECK(comes([&] { return files->everything == 1; }));
  CHECK(files->looks == 1);
}

TEST_CASE("a thread that waits for the file system holds up nobody and goes when it is answered") {
  auto files = std::make_shared<Counted>();
  std::promise<void> ended;
  files->on_end = [&] { ended.set_value(); };
  files->closed = true;
  Counted& counted = *files;
  {
    LookThread thread(std::move(files), kNever);
    CHECK(thread.busy_for() < std::chrono::hours(1));
    thread.read_everything();
    counted.waiting.acquire();
    CHECK(comes([&] { return thread.busy_for() >= milliseconds(1); }));
    thread.read_everything();
  }
  counted.gate.release(2);
  CHECK(ended.get_future().wait_for(std::chrono::seconds(20)) == std::future_status::ready);
}

}  // namespace kubenatd::agent::sources::test
