#pragma once

#include <atomic>
#include <thread>

#include "test/soak/agent.h"

namespace kubenatd::soak {

/// Tells the log of faults when the agent does not hear of changes, whatever fault made it so; that it does not come
/// back to the API server, once all is well there, is a complaint.
///
/// Threading: a thread of its own.
class NewsWatch {
 public:
  NewsWatch(const Agent& agent, FaultLog& faults, Complaints& complaints);
  NewsWatch(const NewsWatch&) = delete;
  NewsWatch& operator=(const NewsWatch&) = delete;
  ~NewsWatch();

  /// A trouble of the API server or of the process has ended: from now on the agent has to come back. Any thread.
  void well_now() { well_since_ = Clock::now(); }
  [[nodiscard]] Clock::duration longest() const { return longest_; }

 private:
  void look();

  const Agent& agent_;
  FaultLog& faults_;
  Complaints& complaints_;
  std::atomic<Time> well_since_{Clock::now()};
  std::atomic<Clock::duration> longest_{};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace kubenatd::soak
