#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "test/soak/probe.h"
#include "test/soak/targets.h"

namespace kubenatd::soak {

/// All the changes of objects: Services that no traffic goes to, a few dozen a second, and those that it goes to.
///
/// Threading: a thread of its own, from start() on; pause() from any.
class Changes {
 public:
  struct Options {
    unsigned seed = 1;
    unsigned services = 2000;
    int rate = 40;  ///< changes a second
  };
  /// Puts all objects there. The ways are complete when this returns.
  Changes(const Options& options, test::ApiServer& server, const test::Lab& lab, Ways& ways);
  Changes(const Changes&) = delete;
  Changes& operator=(const Changes&) = delete;
  ~Changes();

  void start(Probe& probe);
  /// No more of them, and nothing is left half done.
  void stop();
  [[nodiscard]] std::size_t count() const { return count_; }

  /// Objects stay as they are while this is there.
  [[nodiscard]] std::unique_lock<std::mutex> pause() { return std::unique_lock(mutex_); }

 private:
  void run(Probe& probe);
  void change(Probe& probe);
  void change_background();

  const Options options_;
  test::ApiServer& server_;
  Dice dice_;
  std::vector<std::unique_ptr<Target>> targets_;
  std::vector<std::unique_ptr<HostPortPod>> pods_;
  SecondAddress second_;
  std::atomic<std::size_t> count_{0};
  std::mutex mutex_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace kubenatd::soak
