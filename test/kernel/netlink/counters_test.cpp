#include "netlink/host/counters.h"

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
  const rules::Status probe = host::ensure_counter("probe");
  if (probe || probe.error().code != EOPNOTSUPP) return true;
  std::printf("SKIPPED: %s\n", probe.error().to_string().c_str());
  return false;
}

}  // namespace

TEST_CASE("a counter is made once and starts with nothing counted") {
  if (!enter_with_counters()) return;
  const rules::Result<std::uint64_t> missing = host::read_counter("ct_state_invalid_dropped_pkts");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ENOENT);
  CHECK(missing.error().object == "nfacct counter ct_state_invalid_dropped_pkts");

  REQUIRE(host::ensure_counter("ct_state_invalid_dropped_pkts"));
  REQUIRE(host::ensure_counter("ct_state_invalid_dropped_pkts"));
  const rules::Result<std::uint64_t> packets = host::read_counter("ct_state_invalid_dropped_pkts");
  REQUIRE(packets);
  CHECK(*packets == 0);
}

TEST_CASE("counters: a name that the kernel cannot hold is refused") {
  if (!enter_with_counters()) return;
  CHECK(host::ensure_counter(std::string(31, 'x')));
  CHECK(host::read_counter(std::string(31, 'x')));
  for (const std::string& name : {std::string(32, 'x'), std::string(), std::string("a\0b", 3)}) {
    const rules::Status status = host::ensure_counter(name);
    REQUIRE_FALSE(status);
    CHECK(status.error().code == EINVAL);
    CHECK_FALSE(host::read_counter(name));
  }
}

}  // namespace kubenatd::netlink
