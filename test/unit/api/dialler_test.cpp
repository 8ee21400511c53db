#include "agent/api/dialler.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "agent/base/descriptor.h"

/// Several addresses of one name, of which some are no good.
namespace kubenatd::test {
namespace {

using agent::api::SocketAddress;
using agent::base::Descriptor;
using Clock = std::chrono::steady_clock;

SocketAddress address(const std::string& host, std::uint16_t port) {
  const auto found = agent::api::resolve(host, port, Clock::now(), {});
  REQUIRE(found);
  REQUIRE(found->size() == 1);
  return found->front();
}

/// Listens on an address of the loopback interface.
class Listener {
 public:
  explicit Listener(const std::string& host, int backlog = 8)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    SocketAddress here = address(host, 0);
    REQUIRE(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&here.storage), here.size) == 0);
    REQUIRE(::listen(socket_.get(), backlog) == 0);
    REQUIRE(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&here.storage), &here.size) == 0);
    address_ = here;
  }
  [[nodiscard]] const SocketAddress& where() const { return address_; }

 private:
  Descriptor socket_;
  SocketAddress address_;
};

/// An address that swallows packets: the queue of the listener is full, so the kernel drops every SYN.
class Swallower {
 public:
  explicit Swallower(const std::string& host) : listener_(host, 0) {
    for (int i = 0; i < 3; ++i) {
      Descriptor& one = fillers_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      const SocketAddress& where = listener_.where();
      (void)::connect(one.get(), reinterpret_cast<const sockaddr*>(&where.storage), where.size);
      pollfd waiting{one.get(), POLLOUT, 0};
      if (::poll(&waiting, 1, 200) == 0) return;  // this one was swallowed
    }
    FAIL("the queue of a listener with backlog 0 takes three connections");
  }
  [[nodiscard]] const SocketAddress& where() const { return listener_.where(); }

 private:
  Listener listener_;
  std::vector<Descriptor> fillers_;
};

agent::api::ApiTiming quick_timing() {
  agent::api::ApiTiming timing;
  timing.head_start = std::chrono::milliseconds(20);
  timing.connect = std::chrono::milliseconds(300);
  return timing;
}

constexpr std::chrono::seconds kLong{60};

TEST_CASE("dialling: an address that swallows packets does not hold up the next one") {
  const Swallower bad("127.0.0.2");
  const Listener good("127.0.0.1");
  auto timing = quick_timing();
  timing.connect = kLong;  // it is not the first one's time that is waited for
  auto dialled = agent::api::dial_addresses({bad.where(), bad.where(), good.where()}, timing, Clock::now() + kLong, {});
  REQUIRE(dialled);
  CHECK(dialled->peer.to_string() == good.where().to_string());

  SECTION("a second connect says that it stands: so the HTTP library can be given the socket") {
    const SocketAddress peer = dialled->peer;
    CHECK(::connect(dialled->socket.get(), reinterpret_cast<const sockaddr*>(&peer.storage), peer.size) == 0);
    CHECK(::connect(dialled->socket.get(), reinterpret_cast<const sockaddr*>(&peer.storage), peer.size) != 0);
    CHECK(errno == EISCONN);
  }
  SECTION("it is probed, and does not wait long for one who is gone") {
    const auto option = [&](int level, int name) {
      int value = 0;
      socklen_t size = sizeof(value);
      CHECK(::getsockopt(dialled->socket.get(), level, name, &value, &size) == 0);
      return value;
    };
    CHECK(option(SOL_SOCKET, SO_KEEPALIVE) == 1);
    CHECK(option(IPPROTO_TCP, TCP_KEEPIDLE) == 15);
    CHECK(option(IPPROTO_TCP, TCP_USER_TIMEOUT) == 30'000);
  }
}

TEST_CASE("dialling: who refuses does not cost the head start, and is named") {
  SocketAddress closed[2];
  for (int i = 0; i < 2; ++i) closed[i] = Listener(i == 0 ? "127.0.0.2" : "127.0.0.3").where();  // gone at once
  auto timing = quick_timing();
  timing.head_start = kLong;
  const auto none = agent::api::dial_addresses({closed[0], closed[1]}, timing, Clock::now() + kLong, {});
  REQUIRE_FALSE(none);
  CHECK(none.error().code == ECONNREFUSED);
  CHECK(none.error().to_string() == "TCP: connect: " + closed[0].to_string() + ": Connection refused; " +
                                        closed[1].to_string() + ": Connection refused");
  const Listener good("127.0.0.1");
  CHECK(agent::api::dial_addresses({closed[0], closed[1], good.where()}, timing, Clock::now() + kLong, {}));
}

TEST_CASE("dialling: nobody answers, each has its own time; and it can be stopped") {
  const Swallower bad("127.0.0.2");
  const auto late = agent::api::dial_addresses({bad.where()}, quick_timing(), Clock::now() + kLong, {});
  REQUIRE_FALSE(late);
  CHECK(late.error().code == ETIMEDOUT);
  CHECK(late.error().cause == bad.where().to_string() + ": Connection timed out");

  auto timing = quick_timing();
  timing.connect = kLong;
  CHECK(agent::api::dial_addresses({bad.where()}, timing, Clock::now(), {}).error().code == ETIMEDOUT);
  std::jthread waiting([&](const std::stop_token& stop) {
    const auto stopped = agent::api::dial_addresses({bad.where()}, timing, Clock::now() + std::chrono::hours(1), stop);
    CHECK(stopped.error().code == ECANCELED);
  });
  waiting.request_stop();  // a hang is the test's own time limit
  waiting.join();
}

TEST_CASE("dialling: families take turns, and who was no good comes last") {
  const std::vector<SocketAddress> all{address("fd00::1", 1), address("fd00::2", 1), address("fd00::3", 1),
                                       address("192.0.2.1", 1), address("192.0.2.2", 1)};
  const auto shown = [&](const std::string& last) {
    std::string text;
    for (const SocketAddress& one : agent::api::dial_order(all, last)) text += one.host() + " ";
    return text;
  };
  CHECK(shown("") == "fd00::1 192.0.2.1 fd00::2 192.0.2.2 fd00::3 ");
  CHECK(shown("[fd00::1]:1") == "fd00::2 192.0.2.1 fd00::3 192.0.2.2 fd00::1 ");
  CHECK(shown("192.0.2.9:1") == shown(""));
}

TEST_CASE("resolving: names in /etc/hosts, no time, and what the resolver says") {
  const auto local = agent::api::resolve("localhost", 80, Clock::now() + kLong, {});
  REQUIRE(local);
  CHECK(local->front().to_string().ends_with(":80"));
  const auto wrong = agent::api::resolve("no such host", 80, Clock::now() + kLong, {});
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().to_string().starts_with("host \"no such host\": resolve its name: "));
  std::stop_source stop;
  stop.request_stop();
  const auto stopped = agent::api::resolve("kubenatd.invalid", 80, Clock::now() + kLong, stop.get_token());
  REQUIRE_FALSE(stopped);
}

}  // namespace
}  // namespace kubenatd::test
