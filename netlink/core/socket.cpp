#include "netlink/core/socket.h"

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string>

namespace kubenatd::netlink {
namespace {

using rules::fail;

// A dump comes in datagrams of at most 32 KiB (netlink_dump, kernel 6.18); batched events and other kernels may send
// more, and what does not fit would be lost.
constexpr std::size_t kReadBytes = 256 * 1024;
constexpr timeval kPatience{30, 0};
constexpr int kSendTries = 5;
constexpr int kSendPauseMilliseconds = 20;

std::unexpected<rules::Error> fail_errno(const char* operation, int code) {
  return fail("netlink socket", operation, std::strerror(code), code);
}

struct Close {
  void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};

/// The read buffer takes memory only as far as it was used.
class KernelSocket final : public Socket {
 public:
  explicit KernelSocket(mnl_socket* socket) : socket_(socket), buffer_(new char[kReadBytes]) {}

  [[nodiscard]] rules::Status prepare();
  [[nodiscard]] int fd() const override { return mnl_socket_get_fd(socket_.get()); }
  [[nodiscard]] std::uint32_t port_id() const override { return mnl_socket_get_portid(socket_.get()); }
  void grow_send_buffer(std::size_t bytes) override { grow(send_buffer_, bytes, SO_SNDBUFFORCE, SO_SNDBUF); }
  void grow_receive_buffer(std::size_t bytes) override { grow(receive_buffer_, bytes, SO_RCVBUFFORCE, SO_RCVBUF); }
  [[nodiscard]] rules::Status join(unsigned group) override;
  [[nodiscard]] rules::Status leave(unsigned group) override;
  [[nodiscard]] rules::Status send(std::string_view bytes) override;
  [[nodiscard]] rules::Result<Received> receive() override { return read(true); }
  [[nodiscard]] rules::Result<Received> poll() override { return read(false); }
  void drain() override;

 private:
  [[nodiscard]] rules::Result<Received> read(bool wait);
  void grow(std::size_t& current, std::size_t bytes, int forced, int plain);

  std::unique_ptr<mnl_socket, Close> socket_;
  std::unique_ptr<char[]> buffer_;
  std::size_t send_buffer_ = 0;
  std::size_t receive_buffer_ = 0;
};

rules::Status KernelSocket::prepare() {
  if (mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) != 0) return fail_errno("bind", errno);
  // Both are there since kernel 4.12. Without extended acks errors only lose their explanation, but without capped
  // acks a refused transaction would be sent back whole, once per error.
  int on = 1;
  (void)mnl_socket_setsockopt(socket_.get(), NETLINK_EXT_ACK, &on, sizeof on);
  if (mnl_socket_setsockopt(socket_.get(), NETLINK_CAP_ACK, &on, sizeof on) != 0)
    return fail_errno("set NETLINK_CAP_ACK", errno);
  if (setsockopt(fd(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience) != 0)
    return fail_errno("set SO_RCVTIMEO", errno);
  return {};
}

void KernelSocket::grow(std::size_t& current, std::size_t bytes, int forced, int plain) {
  if (bytes <= current) return;
  // The kernel doubles the number and keeps it in an int.
  const int size = static_cast<int>(std::min<std::size_t>(bytes, INT_MAX / 2));
  if (setsockopt(fd(), SOL_SOCKET, forced, &size, sizeof size) == 0 ||
      setsockopt(fd(), SOL_SOCKET, plain, &size, sizeof size) == 0)
    current = bytes;
}

rules::Status KernelSocket::join(unsigned group) {
  if (mnl_socket_setsockopt(socket_.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
    return fail_errno("join group", errno);
  return {};
}

rules::Status KernelSocket::leave(unsigned group) {
  if (mnl_socket_setsockopt(socket_.get(), NETLINK_DROP_MEMBERSHIP, &group, sizeof group) != 0)
    return fail_errno("leave group", errno);
  return {};
}

rules::Status KernelSocket::send(std::string_view bytes) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_name = &kernel;
  message.msg_namelen = sizeof kernel;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  for (int tries = 1;;) {
    if (sendmsg(fd(), &message, MSG_NOSIGNAL) >= 0) return {};
    const int code = errno;
    if (code == EINTR) continue;
    if (code != ENOBUFS || tries++ == kSendTries)
      return fail("netlink socket", "send " + std::to_string(bytes.size()) + " bytes", std::strerror(code), code);
    ::poll(nullptr, 0, kSendPauseMilliseconds);
  }
}

rules::Result<Received> KernelSocket::read(bool wait) {
  for (;;) {
    sockaddr_nl sender{};
    iovec part{buffer_.get(), kReadBytes};
    msghdr message{};
    message.msg_name = &sender;
    message.msg_namelen = sizeof sender;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const ssize_t size = recvmsg(fd(), &message, wait ? 0 : MSG_DONTWAIT);
    if (size < 0) {
      const int code = errno;
      if (code == EINTR) continue;
      if (code == ENOBUFS) return Received{Received::Kind::kOverrun, {}};
      if (code != EAGAIN) return fail_errno("receive", code);
      if (!wait) return Received{Received::Kind::kNothing, {}};
      return fail("netlink socket", "receive", "the kernel does not answer", ETIMEDOUT);
    }
    if (sender.nl_pid != 0) continue;
    if ((message.msg_flags & MSG_TRUNC) != 0) return fail_errno("receive", EMSGSIZE);
    return Received{Received::Kind::kData, {buffer_.get(), static_cast<std::size_t>(size)}};
  }
}

void KernelSocket::drain() {
  for (;;) {
    const rules::Result<Received> received = read(false);
    if (!received || received->kind == Received::Kind::kNothing) return;
  }
}

}  // namespace

rules::Result<std::unique_ptr<Socket>> open_socket() {
  mnl_socket* opened = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
  if (opened == nullptr) return fail_errno("open", errno);
  auto socket = std::make_unique<KernelSocket>(opened);
  if (auto prepared = socket->prepare(); !prepared) return std::unexpected(prepared.error());
  return socket;
}

}  // namespace kubenatd::netlink
