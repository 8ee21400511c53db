#include "agent/base/sysctl.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>

using namespace kubenatd::agent::base;

TEST_CASE("a setting is read without its line end") {
  const auto value = read_sysctl("kernel/ostype");
  REQUIRE(value);
  CHECK(*value == "Linux");
}

TEST_CASE("a setting that the kernel lacks is told by ENOENT and its path") {
  const auto value = read_sysctl("net/ipv4/no_such_setting");
  REQUIRE_FALSE(value);
  CHECK(value.error().code == ENOENT);
  CHECK(value.error().object == "/proc/sys/net/ipv4/no_such_setting");
  const auto written = write_sysctl("net/ipv4/no_such_setting", "1");
  REQUIRE_FALSE(written);
  CHECK(written.error().code == ENOENT);
}

TEST_CASE("a name that leads out of the tree is refused") {
  const std::string name = GENERATE("", "/etc/passwd", "../../etc/passwd", "net/../../x", "net/", "net/./x");
  CAPTURE(name);
  const auto read = read_sysctl(name);
  REQUIRE_FALSE(read);
  CHECK(read.error().code == EINVAL);
  const auto written = write_sysctl(name, "1");
  REQUIRE_FALSE(written);
  CHECK(written.error().code == EINVAL);
}
