#pragma once

#include <functional>
#include <memory>

#include "netlink/core/drain.h"
#include "netlink/core/socket.h"
#include "netlink/trace/trace_event.h"
#include "rules/error.h"

namespace kubenatd::netlink::trace {

/// Listens to NFNLGRP_NFTRACE.
///
/// Threading: one thread. fd() is for poll; drain() reads what is there, at most some 10 000 events, and never blocks.
/// Failure: join() needs CAP_NET_ADMIN over the network namespace. An overrun (ENOBUFS) means that events were lost:
/// what is told of a packet may then have holes.
/// Cost: every traced packet of the namespace comes here, also those that other programs trace.
class TraceMonitor {
 public:
  [[nodiscard]] static rules::Result<TraceMonitor> open();
  explicit TraceMonitor(std::unique_ptr<Socket> socket);
  [[nodiscard]] int fd() const { return socket_->fd(); }
  [[nodiscard]] rules::Status join();

  using Drained = netlink::Drained;
  [[nodiscard]] rules::Result<Drained> drain(const std::function<void(TraceEvent)>& visit);

 private:
  std::unique_ptr<Socket> socket_;
};

}  // namespace kubenatd::netlink::trace
