#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "rules/error.h"

struct mnl_socket;

namespace kubenatd::netlink {

/// What one read of a socket gave.
struct Received {
  enum class Kind : std::uint8_t {
    kData,
    kNothing,  ///< nothing is queued (reads that do not wait)
    kOverrun,  ///< the kernel dropped messages because the receive buffer was full (ENOBUFS); reading may go on
  };
  Kind kind = Kind::kNothing;
  std::string_view data;  ///< one or more whole messages, valid until the next read
};

/// A netlink socket of NETLINK_NETFILTER with extended acknowledgements, owned.
///
/// Threading: one thread at a time. Failure: values; EINTR is retried inside; datagrams that do not come from the
/// kernel are dropped. Cost: one system call per send and read; the read buffer takes memory only as far as it was
/// used.
class Socket {
 public:
  [[nodiscard]] static rules::Result<Socket> open();
  Socket(Socket&&) noexcept = default;
  Socket& operator=(Socket&&) noexcept = default;

  [[nodiscard]] int fd() const;
  /// The address of this socket, which is also the writer's mark in events.
  [[nodiscard]] std::uint32_t port_id() const;

  /// Makes room for a message of `bytes`; SO_SNDBUFFORCE, or SO_SNDBUF without the rights. Never shrinks.
  void grow_send_buffer(std::size_t bytes);
  /// As above, for `bytes` of queued answers.
  void grow_receive_buffer(std::size_t bytes);

  [[nodiscard]] rules::Status join(unsigned group);
  [[nodiscard]] rules::Status leave(unsigned group);

  /// One sendmsg. The kernel has handled nfnetlink messages when this returns. ENOBUFS (no memory for the message) is
  /// tried again a few times with a short pause.
  [[nodiscard]] rules::Status send(std::string_view bytes);

  /// Waits for the next datagram, at most half a minute.
  [[nodiscard]] rules::Result<Received> receive() { return read(true); }
  /// Takes the next datagram if there is one.
  [[nodiscard]] rules::Result<Received> poll() { return read(false); }
  /// Throws away what is queued.
  void drain();

 private:
  struct Close {
    void operator()(mnl_socket* socket) const;
  };
  explicit Socket(mnl_socket* socket);
  [[nodiscard]] rules::Result<Received> read(bool wait);
  void grow(std::size_t& current, std::size_t bytes, int forced, int plain);

  std::unique_ptr<mnl_socket, Close> socket_;
  std::unique_ptr<char[]> buffer_;
  std::size_t send_buffer_ = 0;
  std::size_t receive_buffer_ = 0;
};

}  // namespace kubenatd::netlink
