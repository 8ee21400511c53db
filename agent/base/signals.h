#pragma once

#include <utility>

#include "agent/base/descriptor.h"
#include "rules/error.h"

namespace kubenatd::agent::base {

/// SIGTERM, SIGINT and SIGHUP as something to read, for the run loop; SIGPIPE is ignored.
///
/// Threading: to be made before any other thread, as those inherit what is blocked. Failure: open() for want of a
/// descriptor.
class Signals {
 public:
  enum class Request { kNone, kStop, kReload };

  [[nodiscard]] static rules::Result<Signals> open();

  [[nodiscard]] int fd() const { return descriptor_.get(); }
  /// Never blocks. A wish to stop goes before one to reload.
  [[nodiscard]] Request take();

 private:
  explicit Signals(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

  Descriptor descriptor_;
};

}  // namespace kubenatd::agent::base
