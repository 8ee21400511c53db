#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "agent/base/thread_annotations.h"

namespace kubenatd::agent::api {

/// The first part of an answer.
struct ResponseHead {
  unsigned status = 0;
  std::optional<std::chrono::milliseconds> retry_after;  ///< header Retry-After, in seconds
  std::string content_type;                              ///< header Content-Type
  std::string content_encoding;                          ///< header Content-Encoding
};

/// Hands the answer to a request from the threads of the HTTP library to the thread that reads it, block by block. The
/// library reads on from the network only when a block was taken, so at most one block is in memory.
///
/// Threading: one producer, one consumer. Failure: as values. Cost: no copy.
class BodyInbox {
 public:
  using Clock = std::chrono::steady_clock;
  enum class State : std::uint8_t {
    kReady,    ///< there is a head, or a block
    kEnd,      ///< the body is complete
    kFailed,   ///< connection or protocol; failure() says more
    kTimeout,  ///< nothing came in time
    kStopped,  ///< the stop token asked for it
  };

  // Producer.
  void set_head(ResponseHead head) KUBENATD_EXCLUDES(mutex_);
  /// `taken` is called once, with true when the bytes are not needed any more, with false when nobody wants them.
  void offer(std::string_view block, std::function<void(bool)> taken) KUBENATD_EXCLUDES(mutex_);
  void finish() KUBENATD_EXCLUDES(mutex_);
  void fail(std::string cause) KUBENATD_EXCLUDES(mutex_);

  // Consumer.
  [[nodiscard]] State wait_head(Clock::time_point until, const std::stop_token& stop, ResponseHead& head)
      KUBENATD_EXCLUDES(mutex_);
  /// The next block, valid until the next call.
  [[nodiscard]] State next(Clock::time_point until, const std::stop_token& stop, std::string_view& block)
      KUBENATD_EXCLUDES(mutex_);
  /// Nothing more is wanted.
  void abandon() KUBENATD_EXCLUDES(mutex_);
  [[nodiscard]] std::string failure() const KUBENATD_EXCLUDES(mutex_);

 private:
  mutable base::Mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<ResponseHead> head_ KUBENATD_GUARDED_BY(mutex_);
  std::optional<std::string_view> block_ KUBENATD_GUARDED_BY(mutex_);  ///< offered, and not seen by the consumer
  std::function<void(bool)> taken_ KUBENATD_GUARDED_BY(mutex_);
  bool ended_ KUBENATD_GUARDED_BY(mutex_) = false;
  bool failed_ KUBENATD_GUARDED_BY(mutex_) = false;
  bool abandoned_ KUBENATD_GUARDED_BY(mutex_) = false;
  std::string failure_ KUBENATD_GUARDED_BY(mutex_);
};

}  // namespace kubenatd::agent::api
