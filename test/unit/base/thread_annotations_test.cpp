#include "agent/base/thread_annotations.h"

#include <catch2/catch.hpp>
#include <condition_variable>
#include <thread>
#include <vector>

using namespace kubenatd::agent::base;

TEST_CASE("a MutexLock keeps others out, but for what lies between unlock() and lock()") {
  Mutex mutex;
  int count = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        for (int j = 0; j < 1000; ++j) {
          const MutexLock lock(mutex);
          ++count;
        }
      });
  }
  CHECK(count == 4000);

  MutexLock lock(mutex);
  lock.unlock();
  { const MutexLock other(mutex); }
  lock.lock();
}

TEST_CASE("a MutexLock waits for a condition, and gives an unlocked mutex back once") {
  Mutex mutex;
  std::condition_variable_any changed;
  bool ready = false;
  const std::jthread thread([&] {
    const MutexLock lock(mutex);
    ready = true;
    changed.notify_all();
  });
  {
    MutexLock lock(mutex);
    changed.wait(lock, [&] { return ready; });
    lock.unlock();
  }
  const MutexLock again(mutex);
  CHECK(ready);
}
