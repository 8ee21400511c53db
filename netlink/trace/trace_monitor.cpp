#include "netlink/trace/trace_monitor.h"

#include <linux/netfilter/nfnetlink.h>

#include <cerrno>
#include <utility>

#include "netlink/core/messages.h"

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
  Drained drained;
  while (drained.events < kMaxEvents) {
    const auto received = socket_->poll();
    if (!received) return std::unexpected(received.error());
    if (received->kind == Received::Kind::kNothing) return drained;
    if (received->kind == Received::Kind::kOverrun) {
      drained.overrun = true;
      continue;
    }
    MessageReader reader(received->data);
    for (Message message; reader.next(message);) {
      auto event = read_trace_event(message);
      if (!event) continue;
      ++drained.events;
      visit(std::move(*event));
    }
  }
  return drained;
}

}  // namespace kubenatd::netlink::trace
