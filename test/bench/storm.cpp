#include "test/bench/storm.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "test/bench/cluster_state.h"

namespace kubenatd::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kWriters = 16;  ///< connections that change slices
constexpr std::size_t kTried = 64;    ///< Services whose changes are tried; the storm leaves them alone
constexpr auto kBetween = std::chrono::milliseconds(50);
constexpr auto kAfter = std::chrono::seconds(60);  ///< for what is still to come when the storm is over

double seconds(Clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

/// Changes at a steady pace, from several connections: a change that is late does not make the next one late.
class Writers {
 public:
  Writers(const ControlPlane& plane, const Storm& storm) {
    for (std::size_t i = 0; i < kWriters; ++i)
      threads_.emplace_back([this, &plane, storm, i](const std::stop_token& stop) {
        try {
          write(plane, storm, i, stop);
        } catch (const std::runtime_error& error) {
          const std::lock_guard lock(mutex_);
          failed_ = error.what();
        }
      });
  }
  /// Changes that were taken, after all writers have ended.
  [[nodiscard]] std::size_t end() {
    for (auto& thread : threads_) thread.request_stop();
    threads_.clear();
    if (!failed_.empty()) throw std::runtime_error(failed_);
    return written_;
  }

 private:
  void write(const ControlPlane& plane, const Storm& storm, std::size_t number, const std::stop_token& stop) {
    ApiConnection connection = plane.connect();
    std::mt19937 random(static_cast<unsigned>(number));
    std::uniform_int_distribution<std::size_t> pick(kTried, storm.services - 1);
    const std::chrono::duration<double> pace(kWriters / storm.rate);
    const auto start = Clock::now();
    for (std::size_t i = 0; !stop.stop_requested(); ++i) {
      std::this_thread::sleep_until(start + std::chrono::duration_cast<Clock::duration>(pace * static_cast<double>(i)));
      plane.change(connection, pick(random), ControlPlane::kEndpoints, ++variant_);
      ++written_;
    }
  }

  std::atomic<std::size_t> written_ = 0;
  static inline std::atomic<std::size_t> variant_ = 0;  ///< never one that the API server has already
  std::mutex mutex_;
  std::string failed_;
  std::vector<std::jthread> threads_;
};

struct Trial {
  std::size_t service = 0;
  rules::Address wanted;
  Clock::time_point answered;  ///< by the API server
};

/// Changes of the Services that are tried, from a thread of its own: while the API server takes its time over one, the
/// others are looked at.
class Trials {
 public:
  explicit Trials(const ControlPlane& plane) {
    for (std::size_t i = 0; i < kTried; ++i) free_.push_back(i);
    thread_ = std::jthread([this, &plane](const std::stop_token& stop) {
      try {
        change(plane, stop);
      } catch (const std::runtime_error& error) {
        const std::lock_guard lock(mutex_);
        failed_ = error.what();
      }
    });
  }

  /// Those that the API server has answered since the last call.
  [[nodiscard]] std::vector<Trial> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(answered_, {});
  }
  /// The Service may be changed again.
  void release(std::size_t service) {
    const std::lock_guard lock(mutex_);
    free_.push_back(service);
  }
  /// No more changes; how long the API server took over each.
  [[nodiscard]] std::vector<double> end() {
    thread_.request_stop();
    thread_.join();
    if (!failed_.empty()) throw std::runtime_error(failed_);
    return std::move(answer_times_);
  }

 private:
  void change(const ControlPlane& plane, const std::stop_token& stop) {
    ApiConnection connection = plane.connect();
    static std::size_t variant = 0;  // never one that the API server has already
    for (auto next = Clock::now(); !stop.stop_requested(); next = std::max(next + kBetween, Clock::now() - kBetween)) {
      std::this_thread::sleep_until(next);
      std::unique_lock lock(mutex_);
      if (free_.empty()) continue;
      const std::size_t service = free_.front();
      free_.pop_front();
      lock.unlock();
      const auto asked = Clock::now();
      plane.change(connection, service, 1, ++variant);
      const auto answered = Clock::now();
      lock.lock();
      answered_.push_back({.service = service, .wanted = only_endpoint(service, variant), .answered = answered});
      answer_times_.push_back(seconds(answered - asked));
    }
  }

  std::mutex mutex_;
  std::deque<std::size_t> free_;
  std::vector<Trial> answered_;
  std::vector<double> answer_times_;
  std::string failed_;
  std::jthread thread_;
};

}  // namespace

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
}

rules::Address only_endpoint(std::size_t service, std::size_t variant) {
  const auto made = make_slice(service, 1, variant);
  return std::get<agent::objects::EndpointSlice>(*made.object).endpoints.front().address;
}

StormFigures measure_storm(const ControlPlane& plane, PeerNode& node, const Storm& storm) {
  StormFigures figures;
  std::vector<Trial> open;
  std::vector<double> times;
  const double cpu = cpu_seconds_of(node.proxy());
  const double api_cpu = plane.cpu();
  Writers writers(plane, storm);
  Trials trials(plane);
  const auto start = Clock::now();
  const auto end = start + storm.length;
  const auto look = [&] {
    for (Trial& trial : trials.take()) open.push_back(std::move(trial));
    std::erase_if(open, [&](const Trial& trial) {
      if (node.who_answers(cluster_ip(trial.service), std::chrono::milliseconds(1000)) != trial.wanted) return false;
      times.push_back(seconds(Clock::now() - trial.answered));
      trials.release(trial.service);
      return true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  while (Clock::now() < end) look();
  const double length = seconds(Clock::now() - start);
  figures.cpu = (cpu_seconds_of(node.proxy()) - cpu) / length;
  figures.api_cpu = (plane.cpu() - api_cpu) / length;
  figures.rate = static_cast<double>(writers.end()) / length;
  const std::vector<double> answer_times = trials.end();
  const auto limit = Clock::now() + kAfter;
  look();
  while (!open.empty() && Clock::now() < limit) look();
  if (!answer_times.empty())
    figures.followed = static_cast<double>(times.size()) / static_cast<double>(answer_times.size());
  figures.answer_p50 = quantile(answer_times, 0.5);
  figures.answer_p99 = quantile(answer_times, 0.99);
  figures.p50 = quantile(times, 0.5);
  figures.p99 = quantile(times, 0.99);
  figures.steady = memory_of(node.proxy(), "VmRSS:");
  figures.peak = memory_of(node.proxy(), "VmHWM:");
  return figures;
}

}  // namespace kubenatd::bench
