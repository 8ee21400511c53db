#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "agent/api/access.h"
#include "agent/api/api_client.h"
#include "agent/api/backoff.h"
#include "agent/api/timing.h"
#include "agent/base/thread_annotations.h"
#include "agent/objects/objects.h"
#include "rules/error.h"

namespace kubenatd::agent::api {

/// An Event: people see it with `kubectl get events`, and at the object that it is about.
struct ClusterEvent {
  bool warning = false;
  std::string kind;          ///< kind of the object: "Node", "Service"
  objects::ObjectKey about;  ///< the object; a Node has no namespace
  std::string reason;        ///< "FailedToStartServiceHealthcheck"
  std::string action;        ///< "Listen"
  std::string note;          ///< for people; may be empty
};

/// Writes Events (events.k8s.io/v1) to an API server.
///
/// Purpose: record() returns at once. An event that is recorded again within ten minutes becomes a count in the series
/// of the first one, which is patched at most once a minute. Up to 25 events are written in a row, after that one every
/// ten seconds.
/// Threading: record() may be called on any thread; requests are made on the recorder's own thread. Failure: open()
/// fails when credentials cannot be read. An event that cannot be delivered is tried again a few times, with growing
/// delays, and then dropped. Events beyond a queue of 64, or beyond the rate, are dropped, too. `problem` is called for
/// the first failure after a success. What is still queued at the end is lost, so that the destructor takes only
/// milliseconds. Cost: a thread that sleeps, and a connection while events are written.
class EventRecorder {
 public:
  using Problem = std::function<void(const std::string& line)>;  ///< called on the recorder's thread

  /// `node_name` is the node that reports.
  [[nodiscard]] static rules::Result<std::unique_ptr<EventRecorder>> open(const ClusterAccess& access,
                                                                          std::string node_name,
                                                                          const ApiTiming& timing, Problem problem);
  ~EventRecorder();
  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;

  void record(ClusterEvent event) KUBENATD_EXCLUDES(mutex_);

 private:
  using Clock = std::chrono::steady_clock;

  /// An event that was written, to count its repetitions.
  struct Written {
    std::string path;
    Clock::time_point at;        ///< of the last repetition
    Clock::time_point patch_at;  ///< not to be patched earlier
    std::size_t count = 1;
  };
  enum class Delivery : std::uint8_t { kDone, kRefused, kGone, kLater };

  EventRecorder(std::shared_ptr<Credentials> credentials, std::string node_name, const ApiTiming& timing,
                Problem problem);
  void run(const std::stop_token& stop);
  /// The queue's first; none when asked to stop.
  [[nodiscard]] std::optional<ClusterEvent> next(const std::stop_token& stop) KUBENATD_EXCLUDES(mutex_);
  void deliver(const ClusterEvent& event, const std::stop_token& stop);
  [[nodiscard]] Delivery create(const ClusterEvent& event, std::string& path, const std::stop_token& stop);
  [[nodiscard]] Delivery patch(const Written& written, const std::stop_token& stop);
  [[nodiscard]] Delivery request(const std::string& target, const ApiWrite& write, const std::stop_token& stop);
  /// Until `attempt` says something else than kLater, or often enough.
  [[nodiscard]] Delivery insist(const std::function<Delivery()>& attempt, const std::stop_token& stop);
  [[nodiscard]] bool within_rate(Clock::time_point now);
  void tell(const std::string& line);

  const ApiTiming timing_;
  const std::string node_name_;
  const Problem problem_;
  // The own thread's alone.
  ApiClient client_;
  Backoff backoff_;
  std::map<std::string, Written> written_;
  double tokens_;
  Clock::time_point filled_at_;
  bool failing_ = false;

  base::Mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<ClusterEvent> queue_ KUBENATD_GUARDED_BY(mutex_);
  std::jthread thread_;  ///< last: uses all others
};

}  // namespace kubenatd::agent::api
