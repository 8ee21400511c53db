#include "test/bench/sockets.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace kubenatd::bench {

sockaddr_in socket_address(const rules::Address& address, std::uint16_t port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(port);
  std::memcpy(&result.sin_addr, address.bytes.data(), 4);
  return result;
}

test::Descriptor listen_at(std::uint16_t port) {
  test::Descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in any = socket_address({}, port);
  if (listener.get() < 0 || ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0 ||
      ::listen(listener.get(), 4096) != 0)
    throw std::runtime_error(std::string("listening: ") + std::strerror(errno));
  return listener;
}

void reset_at_close(int socket) {
  const linger hard{.l_onoff = 1, .l_linger = 0};
  (void)::setsockopt(socket, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

}  // namespace kubenatd::bench
