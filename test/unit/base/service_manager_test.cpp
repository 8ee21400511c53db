#include "agent/base/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <string>
#include <vector>

#include "test/support/process.h"

namespace kubenatd::agent::base {
namespace {

using std::chrono::seconds;

/// The socket that systemd would listen on, and the environment that says so, until the end of the test.
class Manager {
 public:
  explicit Manager(const std::string& name) : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    name.copy(static_cast<char*>(address.sun_path), name.size());
    const bool is_abstract = name.starts_with('@');
    if (is_abstract) address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + (is_abstract ? 0 : 1));
    REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;
  ~Manager() {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }

  /// The datagram that waits, or "".
  [[nodiscard]] std::string heard() const {
    std::array<char, 4096> bytes{};
    const auto size = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    return {bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  }

 private:
  Descriptor socket_;
};

TEST_CASE("systemd hears of start and reload and stop at a path and at an abstract name") {
  const test::TempFolder folder;
  const std::string name =
      GENERATE(true, false) ? folder.path().string() + "/notify" : "@kubenatd-test-" + std::to_string(::getpid());
  const Manager systemd(name);
  auto manager = ServiceManager::of_environment();
  REQUIRE(manager.listens());
  manager.status("waits");
  CHECK(systemd.heard() == "STATUS=waits");
  manager.status("waits");
  CHECK(systemd.heard().empty());
  manager.ready("5 services");
  CHECK(systemd.heard() == "READY=1\nSTATUS=5 services");
  manager.status("5 services");
  CHECK(systemd.heard().empty());

  timespec before{};
  REQUIRE(::clock_gettime(CLOCK_MONOTONIC, &before) == 0);
  manager.reloading();
  const std::string reloading = systemd.heard();
  CHECK(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="));
  const auto told = std::stoll(reloading.substr(reloading.rfind("USEC=") + 5));
  CHECK(told >= before.tv_sec * 1'000'000LL + before.tv_nsec / 1'000);
  manager.ready("5 services");
  CHECK(systemd.heard() == "READY=1\nSTATUS=5 services");
  manager.stopping();
  CHECK(systemd.heard().starts_with("STOPPING=1\n"));
}

TEST_CASE("A status cannot be taken for another assignment") {
  const Manager systemd("@kubenatd-test-" + std::to_string(::getpid()));
  auto manager = ServiceManager::of_environment();
  manager.status("waits for \"a\nREADY=1\"");
  const std::string heard = systemd.heard();
  CHECK(heard.starts_with("STATUS=waits for"));
  CHECK(heard.find('\n') == std::string::npos);
}

TEST_CASE("A watchdog hears of life twice as often as it looks") {
  const Manager systemd("@kubenatd-test-" + std::to_string(::getpid()));
  ::setenv("WATCHDOG_USEC", "60000000", 1);
  const auto start = ServiceManager::Clock::now();
  SECTION("of this process") {
    if (GENERATE(true, false)) ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
    auto manager = ServiceManager::of_environment();
    manager.ready("");
    CHECK(systemd.heard().starts_with("READY=1\n"));
    manager.alive(start);
    CHECK(systemd.heard() == "WATCHDOG=1");
    CHECK(manager.next_alive() == start + seconds(30));
    manager.alive(start + seconds(29));
    CHECK(systemd.heard().empty());
    manager.alive(start + seconds(30));
    CHECK(systemd.heard() == "WATCHDOG=1");
  }
  SECTION("and before it is ready the limit of the start is moved") {
    auto manager = ServiceManager::of_environment();
    manager.alive(start);
    CHECK(systemd.heard() == "EXTEND_TIMEOUT_USEC=60000000");
    CHECK(manager.next_alive() == start + seconds(30));
    manager.ready("");
    CHECK(systemd.heard().starts_with("READY=1\n"));
    manager.reloading();
    CHECK(systemd.heard().starts_with("RELOADING=1\n"));
    manager.alive(start + seconds(30));
    CHECK(systemd.heard() == "WATCHDOG=1");
  }
  SECTION("of another process") {
    ::setenv("WATCHDOG_PID", "1", 1);
    auto manager = ServiceManager::of_environment();
    manager.alive(start);
    CHECK(systemd.heard().empty());
    CHECK(manager.next_alive() == std::nullopt);
  }
  SECTION("that is none") {
    ::setenv("WATCHDOG_USEC", GENERATE("", "0", "-5", "5s", "99999999999999999999"), 1);
    auto manager = ServiceManager::of_environment();
    CHECK(manager.next_alive() == std::nullopt);
  }
}

TEST_CASE("Without a service manager nothing is told and nothing fails") {
  const auto use = [](ServiceManager manager) {
    manager.status("waits");
    manager.ready("5 services");
    manager.reloading();
    manager.alive(ServiceManager::Clock::now());
    manager.stopping();
    return manager.listens();
  };
  SECTION("no name") {
    ::unsetenv("NOTIFY_SOCKET");
    CHECK_FALSE(use(ServiceManager::of_environment()));
    CHECK_FALSE(use(ServiceManager()));
  }
  SECTION("a name that is no unix socket's") {
    ::setenv("NOTIFY_SOCKET",
             GENERATE(as<std::string>(), "", "vsock:2:1234", "notify", "/" + std::string(200, 'a')).c_str(), 1);
    CHECK_FALSE(use(ServiceManager::of_environment()));
    ::unsetenv("NOTIFY_SOCKET");
  }
  SECTION("nobody behind the name") {
    const test::TempFolder folder;
    ::setenv("NOTIFY_SOCKET", (folder.path().string() + "/nobody").c_str(), 1);
    CHECK(use(ServiceManager::of_environment()));
    ::unsetenv("NOTIFY_SOCKET");
  }
}

}  // namespace
}  // namespace kubenatd::agent::base
