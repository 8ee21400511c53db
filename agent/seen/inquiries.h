#pragma once

#include <chrono>
#include <condition_variable>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "agent/base/descriptor.h"
#include "agent/base/thread_annotations.h"
#include "agent/seen/services.h"
#include "rules/error.h"

namespace kubenatd::agent::seen {

/// Questions about Services from other threads to the run loop, which alone may look at the model.
///
/// Purpose: nothing is copied for readers who may never come; who asks waits until the loop has time. Threading: fd(),
/// answer() and close() in the run loop, ask() anywhere. Failure: a loop that is busy for too long is told so. Cost: an
/// eventfd; at most kMostWaiting questions wait.
class Inquiries {
 public:
  static constexpr std::size_t kMostWaiting = 4;

  [[nodiscard]] static rules::Result<std::unique_ptr<Inquiries>> open();

  /// Readable while there is something to answer.
  [[nodiscard]] int fd() const { return event_.get(); }
  void answer(const std::function<ServicesPage(const ServicesQuery&)>& find, const dataplane::Model* model = nullptr);
  /// Nothing is answered any more.
  void close();

  enum class Failure : std::uint8_t { kBusy, kClosed };
  [[nodiscard]] std::expected<ServicesPage, Failure> ask(const ServicesQuery& query,
                                                         std::chrono::milliseconds patience);
  /// Has the run loop look at the model. `look` keeps what it writes to: it may run after the patience has ended.
  using Look = std::function<void(const dataplane::Model&)>;
  [[nodiscard]] std::expected<void, Failure> look(Look look, std::chrono::milliseconds patience);

 private:
  struct Question {
    ServicesQuery query;
    Look look{};  ///< none: it is about the query
    std::optional<ServicesPage> page{};
    bool done = false;
  };
  [[nodiscard]] std::optional<Failure> wait_for(const std::shared_ptr<Question>& question,
                                                std::chrono::milliseconds patience);
  explicit Inquiries(base::Descriptor event) : event_(std::move(event)) {}

  base::Descriptor event_;
  base::Mutex mutex_;
  std::condition_variable_any answered_;
  std::vector<std::shared_ptr<Question>> waiting_ KUBENATD_GUARDED_BY(mutex_);
  bool closed_ KUBENATD_GUARDED_BY(mutex_) = false;
};

}  // namespace kubenatd::agent::seen
