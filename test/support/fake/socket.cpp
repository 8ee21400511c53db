#include "test/support/fake/socket.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>

namespace kubenatd::test::fake {
namespace {

using netlink::Received;

constexpr std::size_t kDefaultLimit = 212'992;  // net.core.rmem_default
// What a datagram takes beside its bytes: a buffer is made for 4 KiB or more, and has a head (nlmsg_new).
constexpr std::size_t kOverhead = 768;
constexpr std::size_t kSmallest = 4096;

std::size_t cost(const std::string& datagram) {
  return std::max(datagram.size(), kSmallest) + kOverhead;
}

}  // namespace

FakeSocket::FakeSocket(std::shared_ptr<Core> core, std::uint32_t port_id, Process process)
    : core_(std::move(core)),
      port_id_(port_id),
      process_(std::move(process)),
      event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      limit_(kDefaultLimit) {
  core_->attach(*this);
}

FakeSocket::~FakeSocket() {
  core_->detach(*this);
  close(event_);
}

void FakeSocket::grow_receive_buffer(std::size_t bytes) {
  const std::lock_guard lock(core_->mutex());
  limit_ = std::max(limit_, bytes * 2);  // the kernel doubles the number
}

rules::Status FakeSocket::join(unsigned group) {
  const std::lock_guard lock(core_->mutex());
  groups_.insert(group);
  return {};
}

rules::Status FakeSocket::leave(unsigned group) {
  const std::lock_guard lock(core_->mutex());
  groups_.erase(group);
  return {};
}

rules::Status FakeSocket::send(std::string_view bytes) {
  return core_->handle(*this, bytes);
}

rules::Result<Received> FakeSocket::receive() {
  auto received = poll();
  if (received && received->kind == Received::Kind::kNothing)
    return rules::fail("netlink socket", "receive", "the fake kernel does not answer", ETIMEDOUT);
  return received;
}

rules::Result<Received> FakeSocket::poll() {
  const std::lock_guard lock(core_->mutex());
  return take();
}

void FakeSocket::drain() {
  const std::lock_guard lock(core_->mutex());
  while (take().kind != Received::Kind::kNothing) {
  }
}

void FakeSocket::deliver(std::string datagram) {
  if (congested_ || queued_ + cost(datagram) > limit_) {
    if (!std::exchange(congested_, true)) overrun();
    return;
  }
  deliver_always(std::move(datagram));
}

void FakeSocket::deliver_always(std::string datagram) {
  queued_ += cost(datagram);
  queue_.push_back(std::move(datagram));
  signal();
}

void FakeSocket::overrun() {
  overrun_ = true;
  signal();
}

Received FakeSocket::take() {
  // The error comes before what is queued, as a socket's does.
  if (overrun_) {
    overrun_ = false;
    if (queue_.empty()) congested_ = false;
    signal();
    return {Received::Kind::kOverrun, {}};
  }
  if (queue_.empty()) return {Received::Kind::kNothing, {}};
  read_ = std::move(queue_.front());
  queue_.pop_front();
  queued_ -= cost(read_);
  if (queue_.empty()) congested_ = false;
  signal();
  return {Received::Kind::kData, read_};
}

void FakeSocket::signal() {
  const bool wanted = overrun_ || !queue_.empty();
  if (wanted == signalled_) return;
  signalled_ = wanted;
  std::uint64_t count = 1;
  const ssize_t done = wanted ? write(event_, &count, sizeof count) : read(event_, &count, sizeof count);
  if (done != sizeof count) signalled_ = !wanted;
}

}  // namespace kubenatd::test::fake
