#include "agent/serve/listen_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace kubenatd::agent::serve {
namespace {

using rules::Address;
using rules::Family;

/// An address as the kernel takes it.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress to_socket_address(const config::BindAddress& from) {
  SocketAddress to;
  if (from.address.family == Family::kIpv4) {
    sockaddr_in ipv4{};
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = htons(from.port);
    std::memcpy(&ipv4.sin_addr, from.address.bytes.data(), sizeof ipv4.sin_addr);
    std::memcpy(&to.storage, &ipv4, sizeof ipv4);
    to.length = sizeof ipv4;
  } else {
    sockaddr_in6 ipv6{};
    ipv6.sin6_family = AF_INET6;
    ipv6.sin6_port = htons(from.port);
    std::memcpy(&ipv6.sin6_addr, from.address.bytes.data(), sizeof ipv6.sin6_addr);
    std::memcpy(&to.storage, &ipv6, sizeof ipv6);
    to.length = sizeof ipv6;
  }
  return to;
}

/// 0, or the errno and the call that failed.
struct Trouble {
  int code = 0;
  const char* call = "";
};

Trouble listen_at(int fd, const config::BindAddress& address, bool both_families) {
  const int on = 1;
  const int only_ipv6 = both_families ? 0 : 1;
  // As Go does: a restart must not wait for connections of the former process in TIME_WAIT.
  if (::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return {errno, "set SO_REUSEADDR"};
  if (address.address.family == Family::kIpv6 &&
      ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_ipv6, sizeof only_ipv6) != 0)
    return {errno, "set IPV6_V6ONLY"};
  const SocketAddress at = to_socket_address(address);
  if (::bind(fd, at.get(), at.length) != 0) return {errno, "bind"};
  if (::listen(fd, SOMAXCONN) != 0) return {errno, "listen"};
  return {};
}

std::uint16_t port_of(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return 0;
  if (storage.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
  return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
}

}  // namespace

ListenSocket& ListenSocket::operator=(ListenSocket&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(port_, other.port_);
  std::swap(ipv6_, other.ipv6_);
  return *this;
}

ListenSocket::~ListenSocket() {
  if (fd_ >= 0) ::close(fd_);
}

rules::Result<ListenSocket> ListenSocket::open(const config::BindAddress& address) {
  const bool both_families = address.address.is_unspecified();
  config::BindAddress wanted = address;
  if (both_families) wanted.address = Address{.family = Family::kIpv6};
  const std::string name = join_host_port(address.address, address.port);
  for (;;) {
    const bool ipv6 = wanted.address.family == Family::kIpv6;
    ListenSocket socket(::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), ipv6);
    Trouble trouble = socket.fd_ < 0 ? Trouble{errno, "make a socket"} : listen_at(socket.fd_, wanted, both_families);
    if (trouble.code == 0) {
      socket.port_ = port_of(socket.fd_);
      return socket;
    }
    // IPv6 may be left out of the kernel, or be switched off.
    const bool no_ipv6 = trouble.code == EAFNOSUPPORT || trouble.code == EADDRNOTAVAIL;
    if (!both_families || !ipv6 || !no_ipv6)
      return rules::fail(name, trouble.call, std::strerror(trouble.code), trouble.code);
    wanted.address = Address{.family = Family::kIpv4};
  }
}

}  // namespace kubenatd::agent::serve
