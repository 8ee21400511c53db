#include "test/bench/latency.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <thread>
#include <vector>

#include "test/bench/cluster_state.h"

namespace kubenatd::bench {
namespace {

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

void set_up_addresses() {
  // Every endpoint is an address of this namespace; services are reached through lo as well.
  const int failed = std::system(
      "ip link set lo up && ip addr add 10.0.0.1/32 dev lo && ip route add local 10.128.0.0/9 dev lo src 10.0.0.1 && "
      "ip route add 10.96.0.0/12 dev lo src 10.0.0.1");
  if (failed != 0) die("addresses for the latency measurement");
}

sockaddr_in socket_address(const rules::Address& address, std::uint16_t port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(port);
  std::memcpy(&result.sin_addr, address.bytes.data(), 4);
  return result;
}

/// Closes with a reset: thousands of connections must not leave thousands of waiting sockets.
void close_hard(int fd) {
  const linger hard{.l_onoff = 1, .l_linger = 0};
  (void)::setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  ::close(fd);
}

double connect_once(const rules::Address& address) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  const sockaddr_in to = socket_address(address, kServicePort);
  const auto start = std::chrono::steady_clock::now();
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) die("connecting to a service");
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
  close_hard(fd);
  return took.count();
}

}  // namespace

Latency measure_latency(std::size_t services, std::size_t connections) {
  set_up_addresses();
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in any = socket_address({}, kEndpointPort);
  if (listener < 0 || ::bind(listener, reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0 ||
      ::listen(listener, 4096) != 0)
    die("listening");
  // The server closes late: a reset that overtakes the end of connect() would look like a refusal.
  std::thread server([listener] {
    constexpr std::size_t kKept = 64;
    std::deque<int> open;
    for (;;) {
      const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) break;
      open.push_back(fd);
      if (open.size() <= kKept) continue;
      close_hard(open.front());
      open.pop_front();
    }
    for (const int fd : open) close_hard(fd);
  });

  std::mt19937 random(20240601);
  std::uniform_int_distribution<std::size_t> pick(0, services - 1);
  for (std::size_t i = 0; i < connections / 10; ++i) (void)connect_once(cluster_ip(pick(random)));
  std::vector<double> times;
  times.reserve(connections);
  for (std::size_t i = 0; i < connections; ++i) times.push_back(connect_once(cluster_ip(pick(random))));
  ::shutdown(listener, SHUT_RDWR);
  server.join();
  ::close(listener);
  std::ranges::sort(times);
  const auto at = [&](double share) {
    return times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1))];
  };
  return {.p50 = at(0.50), .p95 = at(0.95), .p99 = at(0.99)};
}

}  // namespace kubenatd::bench
