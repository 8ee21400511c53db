#pragma once

#include <utility>

#include "agent/base/descriptor.h"
#include "rules/error.h"

namespace kubenatd::agent::base {

/// SIGTERM, SIGINT and SIGHUP as a descriptor that the run loop reads; SIGPIPE is ignored.
///
/// Threading: make it before any other thread starts, because threads inherit which signals are blocked. Failure:
/// open() fails when no descriptor can be had.
class Signals {
 public:
  enum class Request { kNone, kStop, kReload };

  [[nodiscard]] static rules::Result<Signals> open();

  [[nodiscard]] int fd() const { return descriptor_.get(); }
  /// Never blocks. When both are asked for, stopping goes before reloading.
  [[nodiscard]] Request take();

 private:
  explicit Signals(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

  Descriptor descriptor_;
};

}  // namespace kubenatd::agent::base
