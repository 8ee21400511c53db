#include "netlink/counters.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdio>
#include <string>

#include "test/support/netns.h"

namespace kubenatd::netlink {
namespace {

/// A fresh namespace in a kernel with nfnetlink_acct; else says why the test is left out.
bool enter_with_counters() {
  if (!test::enter_fresh_namespace()) return false;
  const rules::Status probe = ensure_counter("probe");
  if (probe || probe.error().code != EOPNOTSUPP) return true;
  std::printf("SKIPPED: %s\n", probe.error().to_string().c_str());
  return false;
}

}  // namespace

TEST_CASE("a counter is made once and starts with nothing counted") {
  if (!enter_with_counters()) return;
  const rules::Result<std::uint64_t> missing = read_counter("ct_state_invalid_dropped_pkts");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ENOENT);
  CHECK(missing.error().object == "nfacct counter ct_state_invalid_dropped_pkts");

  REQUIRE(ensure_counter("ct_state_invalid_dropped_pkts"));
  REQUIRE(ensure_counter("ct_state_invalid_dropped_pkts"));
  const rules::Result<std::uint64_t> packets = read_counter("ct_state_invalid_dropped_pkts");
  REQUIRE(packets);
  CHECK(*packets == 0);
}

TEST_CASE("counters: a name that the kernel cannot hold is refused") {
  if (!enter_with_counters()) return;
  CHECK(ensure_counter(std::string(31, 'x')));
  CHECK(read_counter(std::string(31, 'x')));
  for (const std::string& name : {std::string(32, 'x'), std::string(), std::string("a\0b", 3)}) {
    const rules::Status status = ensure_counter(name);
    REQUIRE_FALSE(status);
    CHECK(status.error().code == EINVAL);
    CHECK_FALSE(read_counter(name));
  }
}

}  // namespace kubenatd::netlink
