#include "agent/base/sysctl.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdio>

#include "test/support/netns.h"

using namespace kubenatd::agent::base;

TEST_CASE("a setting of the network namespace is written and read back, and a bad value is refused by errno") {
  if (!kubenatd::test::enter_fresh_namespace()) return;
  const auto before = read_sysctl(kSysctlRouteLocalnet);
  REQUIRE(before);
  const std::string other = *before == "0" ? "1" : "0";
  const auto written = write_sysctl(kSysctlRouteLocalnet, other);
  if (!written && written.error().code == EROFS) {
    std::puts("SKIPPED: no rights: /proc/sys is read-only");
    return;
  }
  REQUIRE(written);
  CHECK(read_sysctl(kSysctlRouteLocalnet) == other);
  const auto bad = write_sysctl(kSysctlRouteLocalnet, "many");
  REQUIRE_FALSE(bad);
  CHECK(bad.error().code == EINVAL);
}
