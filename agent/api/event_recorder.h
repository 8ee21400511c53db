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

/// Something that people see with `kubectl get events` and at the object that it is about.
struct ClusterEvent {
  bool warning = false;
  std::string kind;          ///< of what it is about: "Node", "Service"
  objects::ObjectKey about;  ///< a Node has no namespace
  std::string reason;        ///< "FailedToStartServiceHealthcheck"
  std::string action;        ///< "Listen"
  std::string note;          ///< for people; may be empty
};

/// Writes Events (events.k8s.io/v1) to an API server.
///
/// Purpose: record() returns at once; what is recorded again within ten minutes becomes a count in the first one's
/// series, patched once a minute at most. 25 in a row are written, after that one each ten seconds.
/// Threading: record() on any thread; requests are made on an own one. Failure: open() fails for credentials that
/// cannot be read. An event that cannot be delivered is tried again with growing delays some times and then dropped, as
/// are events beyond a queue of 64 or beyond the rate; `problem` hears of the first failure after a success. What is
/// queued at the end is lost: the destructor takes milliseconds. Cost: a thread that sleeps; a connection while events
/// are written.
class EventRecorder {
 public:
  using Problem = std::function<void(const std::string& line)>;  ///< called on the recorder's thread

  /// `node_name` says whose kubenatd reports.
  [[nodiscard]] static rules::Result<std::unique_ptr<EventRecorder>> open(const ClusterAccess& access,
                                                                          std::string node_name,
                                                                          const ApiTiming& timing, Problem problem);
  ~EventRecorder();
  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;

  void record(ClusterEvent event) KUBENATD_EXCLUDES(mutex_);

 private:
  using Clock = std::chrono::steady_clock;

  /// One that was written, for its repetitions.
  struct Written {
    std::string path;
    Clock::time_point at;        ///< of the last repetition
    Clock::time_point patch_at;  ///< not before
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
