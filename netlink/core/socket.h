#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "rules/error.h"

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

/// A netlink socket of NETLINK_NETFILTER with extended acknowledgements: to the kernel, or to what a test puts in its
/// place.
///
/// Threading: one thread at a time. Failure: values; EINTR is retried inside; datagrams that do not come from the
/// kernel are dropped. Cost: one system call per send and read.
class Socket {
 public:
  virtual ~Socket() = default;

  [[nodiscard]] virtual int fd() const = 0;
  /// The address of this socket, which is also the writer's mark in events.
  [[nodiscard]] virtual std::uint32_t port_id() const = 0;

  /// Makes room for a message of `bytes`; SO_SNDBUFFORCE, or SO_SNDBUF without the rights. Never shrinks.
  virtual void grow_send_buffer(std::size_t bytes) = 0;
  /// As above, for `bytes` of queued answers.
  virtual void grow_receive_buffer(std::size_t bytes) = 0;

  [[nodiscard]] virtual rules::Status join(unsigned group) = 0;
  [[nodiscard]] virtual rules::Status leave(unsigned group) = 0;

  /// One sendmsg. The kernel has handled nfnetlink messages when this returns. ENOBUFS (no memory for the message) is
  /// tried again a few times with a short pause.
  [[nodiscard]] virtual rules::Status send(std::string_view bytes) = 0;

  /// Waits for the next datagram, at most half a minute.
  [[nodiscard]] virtual rules::Result<Received> receive() = 0;
  /// Takes the next datagram if there is one.
  [[nodiscard]] virtual rules::Result<Received> poll() = 0;
  /// Throws away what is queued.
  virtual void drain() = 0;
};

/// A socket of this network namespace.
[[nodiscard]] rules::Result<std::unique_ptr<Socket>> open_socket();

}  // namespace kubenatd::netlink
