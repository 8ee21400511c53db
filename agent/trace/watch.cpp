#include "agent/trace/watch.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace kubenatd::agent::trace {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Long enough for answers on a node, and for the last packets of a connection that was closed.
constexpr milliseconds kAfterwards{300};
// TCP sends its first packet again after 1 and 3 seconds.
constexpr milliseconds kPatience{3500};

int until(Clock::time_point end) {
  const auto left = std::chrono::ceil<milliseconds>(end - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

}  // namespace

rules::Result<Watched> watch(netlink::trace::TraceMonitor& monitor, Journal& journal, const WatchOptions& options,
                             std::optional<Attempt>& attempt) {
  Watched watched;
  const Clock::time_point start = Clock::now();
  Clock::time_point end = start + std::chrono::duration_cast<Clock::duration>(options.duration);
  Clock::time_point give_up = std::min(end, start + kPatience);
  bool winding_up = false;
  const auto wind_up = [&] {
    if (!winding_up) end = std::min(end, Clock::now() + kAfterwards);
    winding_up = true;
  };
  for (;;) {
    const auto drained = monitor.drain([&](const TraceEvent& event) { journal.add(event); });
    if (!drained) return std::unexpected(drained.error());
    watched.events_lost = watched.events_lost || drained->overrun;
    if (attempt) {
      if (auto outcome = attempt->look()) watched.connect = std::move(outcome);
      if (!watched.connect && Clock::now() >= give_up) watched.connect = attempt->give_up(true);
      if (watched.connect) {
        attempt.reset();
        wind_up();
      }
    }
    if (journal.seen() >= options.packets) wind_up();
    if (Clock::now() >= end) break;
    std::array<pollfd, 3> sources{{{monitor.fd(), POLLIN, 0}, {options.stop, POLLIN, 0}, {-1, 0, 0}}};
    if (attempt) sources[2] = {attempt->fd(), attempt->events(), 0};
    if (::poll(sources.data(), sources.size(), until(attempt ? std::min(end, give_up) : end)) < 0 && errno != EINTR)
      return rules::fail("events of traced packets", "wait", std::strerror(errno), errno);
    if ((sources[1].revents & POLLIN) != 0) {
      watched.stopped = true;
      break;
    }
  }
  if (attempt) {
    watched.connect = attempt->give_up(false);
    attempt.reset();
  }
  const auto drained = monitor.drain([&](const TraceEvent& event) { journal.add(event); });
  if (!drained) return std::unexpected(drained.error());
  watched.events_lost = watched.events_lost || drained->overrun;
  return watched;
}

}  // namespace kubenatd::agent::trace
