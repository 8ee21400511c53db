#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>

#include "netlink/core/socket.h"
#include "test/support/fake/core.h"
#include "test/support/fake/encoding.h"

namespace kubenatd::test::fake {

/// A socket whose other end is the fake kernel. Its queue has a limit, as a kernel socket's has: what does not fit is
/// lost and told as an overrun.
///
/// Threading: as netlink::Socket; several sockets of one fake may be used by several threads. Failure: as ordered; and
/// receive() with nothing queued fails at once (ETIMEDOUT), since nothing could come. Cost: one copy of each message.
class FakeSocket final : public netlink::Socket {
 public:
  FakeSocket(std::shared_ptr<Core> core, std::uint32_t port_id, Process process);
  ~FakeSocket() override;
  FakeSocket(const FakeSocket&) = delete;
  FakeSocket& operator=(const FakeSocket&) = delete;

  [[nodiscard]] int fd() const override { return event_; }
  [[nodiscard]] std::uint32_t port_id() const override { return port_id_; }
  void grow_send_buffer(std::size_t /*bytes*/) override {}
  void grow_receive_buffer(std::size_t bytes) override;
  [[nodiscard]] rules::Status join(unsigned group) override;
  [[nodiscard]] rules::Status leave(unsigned group) override;
  [[nodiscard]] rules::Status send(std::string_view bytes) override;
  [[nodiscard]] rules::Result<netlink::Received> receive() override;
  [[nodiscard]] rules::Result<netlink::Received> poll() override;
  void drain() override;

  // For the core, which holds its lock.

  [[nodiscard]] const Process& process() const { return process_; }
  [[nodiscard]] bool is_member(unsigned group) const { return groups_.contains(group); }
  /// Queues a datagram, or loses it when the queue is full.
  void deliver(std::string datagram);
  /// A part of a dump: the kernel makes the next one only when there is room.
  void deliver_always(std::string datagram);
  /// Something was lost.
  void overrun();

 private:
  [[nodiscard]] netlink::Received take();
  void signal();

  const std::shared_ptr<Core> core_;
  const std::uint32_t port_id_;
  const Process process_;
  const int event_;
  bool signalled_ = false;
  std::set<unsigned> groups_;
  std::deque<std::string> queue_;
  std::string read_;  ///< what was given out last
  std::size_t queued_ = 0;
  std::size_t limit_;
  bool overrun_ = false;    ///< not yet told
  bool congested_ = false;  ///< everything is lost until the queue is empty
};

}  // namespace kubenatd::test::fake
