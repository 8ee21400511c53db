#include "test/bench/latency.h"

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
#include "test/bench/sockets.h"

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

double connect_once(const rules::Address& address) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  const sockaddr_in to = socket_address(address, kServicePort);
  const auto start = std::chrono::steady_clock::now();
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) die("connecting to a service");
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
  reset_at_close(fd);
  ::close(fd);
  return took.count();
}

}  // namespace

Latency measure_latency(std::size_t services, std::size_t connections) {
  set_up_addresses();
  const test::Descriptor listener = listen_at(kEndpointPort);
  // The server closes late: a reset that overtakes the end of connect() would look like a refusal.
  std::thread server([&listener] {
    constexpr std::size_t kKept = 64;
    std::deque<test::Descriptor> open;
    for (;;) {
      test::Descriptor client(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (client.get() < 0) return;
      reset_at_close(client.get());
      open.push_back(std::move(client));
      if (open.size() > kKept) open.pop_front();
    }
  });

  std::mt19937 random(20240601);
  std::uniform_int_distribution<std::size_t> pick(0, services - 1);
  for (std::size_t i = 0; i < connections / 10; ++i) (void)connect_once(cluster_ip(pick(random)));
  std::vector<double> times;
  times.reserve(connections);
  for (std::size_t i = 0; i < connections; ++i) times.push_back(connect_once(cluster_ip(pick(random))));
  ::shutdown(listener.get(), SHUT_RDWR);
  server.join();
  std::ranges::sort(times);
  const auto at = [&](double share) {
    return times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1))];
  };
  return {.p50 = at(0.50), .p95 = at(0.95), .p99 = at(0.99)};
}

}  // namespace kubenatd::bench
