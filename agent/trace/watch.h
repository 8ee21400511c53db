#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "agent/trace/connect.h"
#include "agent/trace/journal.h"
#include "netlink/trace/trace_monitor.h"
#include "rules/error.h"

namespace kubenatd::agent::trace {

struct WatchOptions {
  std::chrono::nanoseconds duration{};
  std::size_t packets = 0;  ///< of the original direction; it ends when so many were seen
  int stop = -1;            ///< readable: somebody wants it to end
};

struct Watched {
  bool events_lost = false;
  bool stopped = false;  ///< by options.stop
  std::optional<ConnectOutcome> connect;
};

/// Gathers events until the time is over, the packets were seen, the attempt has come to its end, or somebody stops it.
/// What is on its way then (answers, the end of a connection) is waited for a moment. An attempt is given up after some
/// seconds.
///
/// Threading: blocks the caller. Failure: of the monitor. Cost: sleeps between events.
[[nodiscard]] rules::Result<Watched> watch(netlink::trace::TraceMonitor& monitor, Journal& journal,
                                           const WatchOptions& options, std::optional<Attempt>& attempt);

}  // namespace kubenatd::agent::trace
