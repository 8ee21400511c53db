#include "agent/trace/connect.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace kubenatd::agent::trace {
namespace {

using rules::Family;
using rules::Protocol;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress socket_address(const rules::Address& address, std::uint16_t port) {
  SocketAddress result;
  if (address.family == Family::kIpv4) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, address.bytes.data(), sizeof v4.sin_addr);
    std::memcpy(&result.storage, &v4, sizeof v4);
    result.size = sizeof v4;
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, address.bytes.data(), sizeof v6.sin6_addr);
    std::memcpy(&result.storage, &v6, sizeof v6);
    result.size = sizeof v6;
  }
  return result;
}

std::string own_address(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  rules::Address address;
  if (storage.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &storage, sizeof v4);
    std::memcpy(address.bytes.data(), &v4.sin_addr, sizeof v4.sin_addr);
    return rules::join_host_port(address, ntohs(v4.sin_port));
  }
  sockaddr_in6 v6;
  std::memcpy(&v6, &storage, sizeof v6);
  address.family = Family::kIpv6;
  std::memcpy(address.bytes.data(), &v6.sin6_addr, sizeof v6.sin6_addr);
  return rules::join_host_port(address, ntohs(v6.sin6_port));
}

}  // namespace

rules::Result<Attempt> Attempt::start(Protocol protocol, const rules::Address& destination, std::uint16_t port,
                                      const std::optional<rules::Address>& source) {
  const std::string object =
      "connection to " + rules::join_host_port(destination, port) + "/" + std::string(rules::name_of(protocol));
  const auto failed = [&](const char* operation, int code) {
    return rules::fail(object, operation, std::strerror(code), code);
  };
  const bool datagram = protocol == Protocol::kUdp;
  const int family = destination.family == Family::kIpv4 ? AF_INET : AF_INET6;
  base::Descriptor socket(::socket(family, (datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC,
                                   static_cast<int>(protocol)));
  if (!socket) return failed("open a socket", errno);
  if (source) {
    const SocketAddress own = socket_address(*source, 0);
    if (bind(socket.get(), own.get(), own.size) != 0)
      return rules::fail(object, "come from " + source->to_string(),
                         std::string(std::strerror(errno)) + ": only an address of this node can be", errno);
  }
  Attempt attempt(std::move(socket), datagram);
  const SocketAddress to = socket_address(destination, port);
  if (connect(attempt.fd(), to.get(), to.size) != 0 && errno != EINPROGRESS) attempt.failed_ = errno;
  if (datagram && !attempt.failed_ && send(attempt.fd(), "", 0, MSG_NOSIGNAL) < 0) attempt.failed_ = errno;
  attempt.from_ = own_address(attempt.fd());
  return attempt;
}

short Attempt::events() const {
  return datagram_ ? POLLIN : POLLOUT;
}

ConnectOutcome Attempt::end(int code) {
  socket_ = base::Descriptor(-1);
  switch (code) {
    case 0: return {datagram_ ? "answered" : "connected", datagram_ ? "an answer came" : "the connection was made"};
    case ECONNREFUSED: return {"refused", std::strerror(code)};
    case ETIMEDOUT: return {"timeout", std::strerror(code)};
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EACCES: return {"unreachable", std::strerror(code)};
    default: return {"failed", std::strerror(code)};
  }
}

std::optional<ConnectOutcome> Attempt::look() {
  if (failed_) return end(*failed_);
  pollfd poll{fd(), events(), 0};
  if (::poll(&poll, 1, 0) <= 0) return std::nullopt;
  int code = 0;
  socklen_t size = sizeof code;
  if (getsockopt(fd(), SOL_SOCKET, SO_ERROR, &code, &size) != 0) code = errno;
  return end(code);
}

ConnectOutcome Attempt::give_up(bool too_long) {
  socket_ = base::Descriptor(-1);
  if (datagram_) return {"sent", "the datagram was sent, and no answer came"};
  if (!too_long) return {"pending", "it was not decided yet when the trace ended"};
  return {"timeout", "no answer in time"};
}

}  // namespace kubenatd::agent::trace
