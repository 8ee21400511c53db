#include "netlink/trace/trace_monitor.h"

#include <linux/netfilter/nfnetlink.h>

#include <cerrno>
#include <utility>

namespace kubenatd::netlink::trace {
namespace {

// An event takes up to a kilobyte of this; a limit, not memory that is taken.
constexpr std::size_t kQueueBytes = 8 * 1024 * 1024;
constexpr std::size_t kMaxEvents = 10'000;

}  // namespace

TraceMonitor::TraceMonitor(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {
  socket_->grow_receive_buffer(kQueueBytes);
}

rules::Result<TraceMonitor> TraceMonitor::open() {
  auto socket = open_socket();
  if (!socket) return std::unexpected(std::move(socket.error()));
  return TraceMonitor(std::move(*socket));
}

rules::Status TraceMonitor::join() {
  auto joined = socket_->join(NFNLGRP_NFTRACE);
  if (!joined) return rules::fail("events of traced packets", "listen", joined.error().cause, joined.error().code);
  return {};
}

rules::Result<TraceMonitor::Drained> TraceMonitor::drain(const std::function<void(TraceEvent)>& visit) {
  return drain_events(*socket_, kMaxEvents, [&](const Message& message) {
    auto event = read_trace_event(message);
    if (event) visit(std::move(*event));
    return event.has_value();
  });
}

}  // namespace kubenatd::netlink::trace
