#include "netlink/host/listeners.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <optional>
#include <string>

#include "test/support/netns.h"

namespace kubenatd::netlink::host {
namespace {

using rules::Protocol;

/// A bound socket; of TCP it listens.
class Bound {
 public:
  Bound(Protocol protocol, const std::string& text, std::uint16_t port)
      : fd_(::socket(text.find(':') == std::string::npos ? AF_INET : AF_INET6,
                     protocol == Protocol::kTcp ? SOCK_STREAM : SOCK_DGRAM, 0)) {
    const auto address = rules::Address::parse(text).value();
    const int on = 1;  // the address need not be there
    REQUIRE(::setsockopt(fd_, IPPROTO_IP, IP_FREEBIND, &on, sizeof on) == 0);
    sockaddr_storage storage{};
    socklen_t size = sizeof(sockaddr_in);
    if (text.find(':') == std::string::npos) {
      auto* const place = reinterpret_cast<sockaddr_in*>(&storage);
      place->sin_family = AF_INET;
      place->sin_port = htons(port);
      std::memcpy(&place->sin_addr, address.bytes.data(), 4);
    } else {
      auto* const place = reinterpret_cast<sockaddr_in6*>(&storage);
      place->sin6_family = AF_INET6;
      place->sin6_port = htons(port);
      std::memcpy(&place->sin6_addr, address.bytes.data(), 16);
      size = sizeof(sockaddr_in6);
    }
    REQUIRE(::bind(fd_, reinterpret_cast<sockaddr*>(&storage), size) == 0);
    if (protocol == Protocol::kTcp) REQUIRE(::listen(fd_, 1) == 0);
  }
  Bound(const Bound&) = delete;
  Bound& operator=(const Bound&) = delete;
  ~Bound() { ::close(fd_); }

 private:
  int fd_;
};

std::vector<ListeningSocket> all(Protocol protocol) {
  const auto sockets = listening_sockets(protocol);
  if (!sockets) FAIL(sockets.error().to_string());
  return *sockets;
}

ListeningSocket at(Protocol protocol, std::uint16_t port, const char* address = nullptr) {
  return {protocol, port, address == nullptr ? std::nullopt : rules::Address::parse(address)};
}

TEST_CASE("Listening sockets: each with its address and protocol and once") {
  if (!test::enter_fresh_namespace()) return;
  const auto protocol = GENERATE(Protocol::kTcp, Protocol::kUdp);
  const auto other = protocol == Protocol::kTcp ? Protocol::kUdp : Protocol::kTcp;
  CHECK(all(protocol).empty());
  {
    const Bound everywhere(protocol, "0.0.0.0", 2200);
    const Bound everywhere6(protocol, "::", 2201);
    const Bound one(protocol, "192.0.2.1", 2202);
    const Bound one6(protocol, "2001:db8::1", 2203);
    const Bound another(other, "0.0.0.0", 2204);
    CHECK(all(protocol) == std::vector{at(protocol, 2200), at(protocol, 2201), at(protocol, 2202, "192.0.2.1"),
                                       at(protocol, 2203, "2001:db8::1")});
  }
  CHECK(all(protocol).empty());
}

}  // namespace
}  // namespace kubenatd::netlink::host
