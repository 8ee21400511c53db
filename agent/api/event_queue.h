#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/api/watch_sink.h"
#include "agent/base/descriptor.h"
#include "agent/base/thread_annotations.h"
#include "agent/sources/object_change.h"
#include "rules/error.h"

namespace kubenatd::agent::api {

/// What happened since the last take().
struct ApiUpdate {
  std::vector<objects::ObjectEvent> events;   ///< Services first, then EndpointSlices, Nodes, Pods
  std::vector<std::string> problems;          ///< one line each: objects that were left out, connections that fail
  std::vector<std::string> remarks;           ///< one line each: fields that were left out, lists that were read
  std::vector<objects::PassedOver> left_out;  ///< objects that were left out or taken in part
  bool synced = false;  ///< all first lists are complete, and their events are in this update or an earlier one
  std::vector<WatchState> states;  ///< of every resource, as it is now
};

/// Stands between the watches and the thread that takes what they find.
///
/// Purpose: several changes of one object before it is taken become one, so the queue is never larger than the number
/// of objects. Threading: any. Failure: open() fails when no descriptor can be had. Lines beyond a limit are counted,
/// not kept.
class EventQueue {
 public:
  [[nodiscard]] static rules::Result<std::unique_ptr<EventQueue>> open(std::vector<std::string> resources);

  [[nodiscard]] int fd() const { return wake_.get(); }  ///< readable while there is something to take
  [[nodiscard]] ApiUpdate take() KUBENATD_EXCLUDES(mutex_);

  /// Receives what the watch of a resource finds. `index` is the place of the resource in the list that open() was
  /// given.
  [[nodiscard]] WatchSink& sink(std::size_t index) { return *sinks_[index]; }

 private:
  class Sink;
  /// A bounded number of lines. The same line is not kept twice.
  class Lines {
   public:
    void add(std::string line);
    [[nodiscard]] std::vector<std::string> take();

   private:
    std::vector<std::string> lines_;
    std::size_t more_ = 0;
  };

  EventQueue(base::Descriptor wake, std::vector<std::string> resources);
  void wake() KUBENATD_REQUIRES(mutex_);

  base::Descriptor wake_;
  std::vector<std::unique_ptr<WatchSink>> sinks_;
  base::Mutex mutex_;
  std::map<sources::ObjectId, objects::ObjectPtr> events_ KUBENATD_GUARDED_BY(mutex_);
  Lines problems_ KUBENATD_GUARDED_BY(mutex_);
  Lines remarks_ KUBENATD_GUARDED_BY(mutex_);
  std::vector<objects::PassedOver> left_out_ KUBENATD_GUARDED_BY(mutex_);
  std::vector<WatchState> states_ KUBENATD_GUARDED_BY(mutex_);
  bool woken_ KUBENATD_GUARDED_BY(mutex_) = false;
};

}  // namespace kubenatd::agent::api
