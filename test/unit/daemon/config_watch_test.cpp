#include "agent/daemon/config_watch.h"

#include <poll.h>

#include <catch2/catch.hpp>
#include <chrono>

#include "test/support/process.h"

namespace kubenatd::agent::daemon {
namespace {

/// Something to take comes within the time.
bool tells(const ConfigWatch& watch, std::chrono::milliseconds within = std::chrono::seconds(10)) {
  pollfd poll{.fd = watch.fd(), .events = POLLIN, .revents = 0};
  return ::poll(&poll, 1, static_cast<int>(within.count())) == 1;
}

TEST_CASE("A file that changed after it was known and before the watch opened has changed") {
  const test::TempFolder folder;
  const auto path = folder.write("config.yaml", "mode: iptables\n");
  const KnownFile known = know_file(path);
  SECTION("another content") {
    folder.write("config.yaml", "mode: nftables\n");
  }
  SECTION("it is gone") {
    folder.remove("config.yaml");
  }
  auto watch = ConfigWatch::open({known});
  REQUIRE(watch);
  REQUIRE(tells(*watch));
  CHECK(watch->changed());
  CHECK_FALSE(watch->changed());
}

TEST_CASE("A file that could not be read has changed when it can be") {
  const test::TempFolder folder;
  const KnownFile known = know_file(folder.path() / "config.yaml");
  CHECK_FALSE(known.content);
  folder.write("config.yaml", "mode: nftables\n");
  auto watch = ConfigWatch::open({known});
  REQUIRE(watch);
  REQUIRE(tells(*watch));
  CHECK(watch->changed());
}

TEST_CASE("A file that is as it is known has not changed until it does") {
  const test::TempFolder folder;
  const auto path = folder.write("config.yaml", "mode: iptables\n");
  auto watch = ConfigWatch::open({know_file(path)});
  REQUIRE(watch);
  folder.write("config.yaml", "mode: iptables\n");  // another file, the same content
  CHECK_FALSE(tells(*watch, std::chrono::milliseconds(500)));
  folder.write("config.yaml", "mode: nftables\n");
  REQUIRE(tells(*watch));
  CHECK(watch->changed());
}

}  // namespace
}  // namespace kubenatd::agent::daemon
