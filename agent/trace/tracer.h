#pragma once

#include <chrono>
#include <cstddef>
#include <expected>
#include <functional>

#include "agent/explain/context.h"
#include "agent/explain/question.h"
#include "agent/trace/report.h"
#include "rules/error.h"

namespace kubenatd::agent::trace {

/// Which packets are traced, and for how long.
struct Order {
  explain::Question question;  ///< without a source: everybody's
  bool connect = false;        ///< a connection of the node's own is made
  std::chrono::nanoseconds duration{};
  std::size_t packets = 0;  ///< of the original direction; it ends when so many were seen
  int stop = -1;            ///< a descriptor that becomes readable when it is to end
};

struct Failure {
  rules::Error error;
  bool wrong_order = false;  ///< this cannot be asked for; else it cannot be done now
};

/// Traces packets as `kubenatd trace` does, and gives what was seen to `tell`.
///
/// `sources` is what explain answers from, read before: what packets do is compared with that. The report and what it
/// refers to live while `tell` runs. Threading: blocks its thread for the time of the order. Failure: when the question
/// leads to no address, or the kernel does not trace, as when another process does. Cost: a table in the kernel while
/// it runs, and all rules are read.
[[nodiscard]] std::expected<void, Failure> trace_packets(const Order& order,
                                                         rules::Result<explain::ExplainContext> sources,
                                                         const std::function<void(const Report&)>& tell);

}  // namespace kubenatd::agent::trace
