#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <string_view>
#include <thread>

#include "netlink/iptables/reader.h"
#include "netlink/iptables/writer.h"
#include "test/kernel/netlink/raw_rules.h"
#include "test/kernel/netlink/tables.h"
#include "test/support/netns.h"

// What the kernel dumps: nothing where nothing is, and all or none beside other writers.

using namespace kubenatd;
using namespace test;
using netlink::Batch;
using netlink::NfTables;
using rules::Family;

TEST_CASE("A namespace without tables dumps as empty") {
  if (!test::enter_fresh_namespace()) return;
  NfTables tables = open_tables();
  CHECK(chain_names(tables, kNat).empty());
  CHECK(comments(tables, "").empty());
  CHECK(comments(tables, "KUBE-NONE").empty());
  CHECK(tables.has_table(kFamily, kNat).value() == false);
  CHECK(tables.has_chain(kFamily, kNat, "KUBE-A").value() == false);
  make_chains(tables, {"KUBE-A"});
  CHECK(tables.has_table(kFamily, kNat).value() == true);
  CHECK(tables.has_table(Family::kIpv6, kNat).value() == false);
  CHECK(tables.has_chain(kFamily, kNat, "KUBE-A").value() == true);
  CHECK(tables.has_chain(kFamily, kNat, "KUBE-B").value() == false);
  CHECK(comments(tables, "KUBE-NONE").empty());
}

TEST_CASE("A dump is whole in spite of a writer that never stops, or fails with EINTR") {
  if (!test::enter_fresh_namespace()) return;
  NfTables tables = open_tables();
  constexpr int kRules = 5'000;
  Batch batch;
  netlink::iptables::add_table(batch, kFamily, kNat);
  netlink::iptables::add_chain(batch, kFamily, kNat, "KUBE-T");
  netlink::iptables::add_chain(batch, kFamily, kNat, "KUBE-A");
  netlink::iptables::add_chain(batch, kFamily, kNat, "FOREIGN");
  for (int i = 0; i < kRules; ++i)
    netlink::iptables::add_rule(batch, kFamily, kNat, "KUBE-A", test::jump_rule("KUBE-T", "x"));
  must_commit(tables, batch);
  std::atomic<bool> stop = false;
  std::atomic<int> written = 0;
  std::thread writer([&] {
    auto other = NfTables::open();
    Batch change;
    netlink::iptables::add_rule(change, kFamily, kNat, "FOREIGN", test::jump_rule("KUBE-T", "y"));
    netlink::iptables::flush_chain(change, kFamily, kNat, "FOREIGN");
    while (!stop && other && other->commit(change, std::nullopt)) ++written;
  });
  // A table of this size is dumped chain by chain.
  for (const std::string_view chain : {"KUBE-A", ""}) {
    int restarts = 0, whole = 0, interrupted = 0;
    std::size_t seen = 0;
    const auto visit = [&](netlink::iptables::LiveRule& live) { seen += live.chain == "KUBE-A" ? 1 : 0; };
    for (int i = 0; i < 20; ++i) {
      seen = 0;
      const auto status = netlink::iptables::dump_rules(tables, kFamily, kNat, chain, visit, [&] {
        seen = 0;
        ++restarts;
      });
      if (status) {
        ++whole;
        CHECK(seen == kRules);
      } else {
        ++interrupted;
        CHECK(status.error().code == EINTR);
      }
    }
    CHECK(restarts >= interrupted * 7);
    CHECK(whole + interrupted == 20);
  }
  stop = true;
  writer.join();
  CHECK(written > 0);
  // With the writer gone it is whole at once.
  for (const std::string_view chain : {"KUBE-A", ""}) {
    std::size_t seen = 0;
    REQUIRE(netlink::iptables::dump_rules(
        tables, kFamily, kNat, chain, [&](netlink::iptables::LiveRule&) { ++seen; }, [] { FAIL("restarted"); }));
    CHECK(seen == kRules);
  }
}
