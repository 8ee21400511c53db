#pragma once

#include <cstddef>

#include "netlink/core/messages.h"
#include "netlink/core/socket.h"
#include "rules/error.h"

namespace kubenatd::netlink {

/// What was read of a queue of events.
struct Drained {
  std::size_t events = 0;
  bool overrun = false;  ///< some were lost (ENOBUFS)
};

/// Reads what is queued, to its end or past `most` events, and never blocks. `take` gets each message and says whether
/// it was an event.
template <class Take>
[[nodiscard]] rules::Result<Drained> drain_events(Socket& socket, std::size_t most, const Take& take) {
  Drained drained;
  while (drained.events < most) {
    const auto received = socket.poll();
    if (!received) return std::unexpected(received.error());
    if (received->kind == Received::Kind::kNothing) return drained;
    if (received->kind == Received::Kind::kOverrun) {
      drained.overrun = true;
      continue;
    }
    MessageReader reader(received->data);
    for (Message message; reader.next(message);)
      if (take(message)) ++drained.events;
  }
  return drained;
}

}  // namespace kubenatd::netlink
