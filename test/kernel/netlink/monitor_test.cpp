#include "netlink/core/monitor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "netlink/core/nf_tables.h"
#include "netlink/iptables/writer.h"
#include "test/kernel/netlink/raw_rules.h"
#include "test/support/netns.h"

using namespace kubenatd;
using netlink::Batch;
using netlink::Monitor;
using netlink::NfTables;
using netlink::TableEvent;
using rules::Family;
using rules::Table;
using Kind = TableEvent::Kind;

namespace {

struct Seen {
  Kind kind;
  std::uint32_t port_id;
  Family family;
  std::optional<Table> table;
  std::string chain, process;
  std::uint32_t generation, process_id;
  std::uint64_t handle;
};

std::vector<Seen> drain(Monitor& monitor, bool& overrun) {
  std::vector<Seen> seen;
  const auto drained = monitor.drain([&](const TableEvent& event) {
    seen.push_back({event.kind, event.port_id, event.family, event.table, std::string(event.chain),
                    std::string(event.process_name), event.generation, event.process_id, event.handle});
  });
  if (!drained) FAIL(drained.error().to_string());
  CHECK(drained->events == seen.size());
  overrun = drained->overrun;
  return seen;
}

std::vector<Seen> drain(Monitor& monitor) {
  bool overrun = false;
  auto seen = drain(monitor, overrun);
  CHECK_FALSE(overrun);
  return seen;
}

std::vector<Kind> kinds(const std::vector<Seen>& seen) {
  std::vector<Kind> result;
  for (const Seen& event : seen) result.push_back(event.kind);
  return result;
}

}  // namespace

TEST_CASE("The monitor tells own changes from those of others") {
  if (!test::enter_fresh_namespace()) return;
  auto tables = NfTables::open();
  auto monitor = Monitor::open();
  REQUIRE(tables);
  REQUIRE(monitor);
  Batch batch;
  netlink::iptables::add_table(batch, Family::kIpv6, Table::kNat);
  netlink::iptables::add_chain(batch, Family::kIpv6, Table::kNat, "KUBE-A");
  netlink::iptables::add_chain(batch, Family::kIpv6, Table::kNat, "KUBE-T");
  REQUIRE(tables->commit(batch, std::nullopt));
  CHECK(drain(*monitor).empty());  // not joined yet

  REQUIRE(monitor->join());
  batch.clear();
  netlink::iptables::add_rule(batch, Family::kIpv6, Table::kNat, "KUBE-A", test::jump_rule("KUBE-T", "x"), {}, true);
  const auto report = tables->commit(batch, std::nullopt);
  REQUIRE(report);
  const auto own = drain(*monitor);
  REQUIRE(kinds(own) == std::vector<Kind>{Kind::kRuleAdded, Kind::kGeneration});
  CHECK(own[0].port_id == tables->port_id());
  CHECK(own[0].family == Family::kIpv6);
  CHECK(own[0].table == Table::kNat);
  CHECK(own[0].chain == "KUBE-A");
  CHECK(own[0].handle == report->handles.at(0));
  CHECK(own[1].port_id == tables->port_id());
  CHECK(own[1].generation == report->generation);
  CHECK(own[1].process_id == static_cast<std::uint32_t>(getpid()));

  test::must_run({"ip6tables", "-t", "nat", "-F", "KUBE-A"});
  const auto flushed = drain(*monitor);
  REQUIRE(kinds(flushed) == std::vector<Kind>{Kind::kRuleDeleted, Kind::kGeneration});
  CHECK(flushed[0].port_id != tables->port_id());
  CHECK(flushed[0].chain == "KUBE-A");
  CHECK(flushed[0].handle == report->handles.at(0));
  CHECK(flushed[1].generation == report->generation + 1);
  CHECK_THAT(flushed[1].process, Catch::StartsWith("ip6tables"));

  test::must_run({"nft", "add table inet other"});
  const auto other = drain(*monitor);
  REQUIRE(kinds(other) == std::vector<Kind>{Kind::kOther, Kind::kGeneration});
  test::must_run({"nft", "add table ip6 another"});
  CHECK(kinds(drain(*monitor)) == std::vector<Kind>{Kind::kOther, Kind::kGeneration});

  test::must_run({"nft", "flush ruleset"});
  const auto gone = kinds(drain(*monitor));
  CHECK(std::count(gone.begin(), gone.end(), Kind::kChainDeleted) == 2);
  CHECK(std::count(gone.begin(), gone.end(), Kind::kTableDeleted) == 1);
}

TEST_CASE("A monitor that has left hears nothing, also not what was queued") {
  if (!test::enter_fresh_namespace()) return;
  auto monitor = Monitor::open();
  REQUIRE(monitor);
  REQUIRE(monitor->join());
  test::must_run({"nft", "add table ip a"});
  REQUIRE(monitor->leave());
  test::must_run({"nft", "add table ip b"});
  CHECK(drain(*monitor).empty());
  REQUIRE(monitor->join());
  test::must_run({"nft", "add table ip c"});
  CHECK(drain(*monitor).size() == 2);
}

TEST_CASE("Lost events are told as an overrun") {
  if (!test::enter_fresh_namespace()) return;
  auto tables = NfTables::open();
  auto monitor = Monitor::open();
  REQUIRE(tables);
  REQUIRE(monitor);
  REQUIRE(monitor->join());
  Batch batch;
  netlink::iptables::add_table(batch, Family::kIpv4, Table::kNat);
  netlink::iptables::add_chain(batch, Family::kIpv4, Table::kNat, "KUBE-T");
  netlink::iptables::add_chain(batch, Family::kIpv4, Table::kNat, "KUBE-A");
  // Some 40 MB of events, more than the queue holds.
  for (int i = 0; i < 70'000; ++i)
    netlink::iptables::add_rule(batch, Family::kIpv4, Table::kNat, "KUBE-A", test::jump_rule("KUBE-T", "x"));
  const auto report = tables->commit(batch, std::nullopt);
  REQUIRE(report);
  CHECK(report->generation == tables->generation().value());
  bool overrun = false;
  const auto seen = drain(*monitor, overrun);
  CHECK(overrun);
  CHECK(seen.size() < 70'000);
  test::must_run({"nft", "add table ip c"});
  CHECK(drain(*monitor, overrun).size() == 2);
  CHECK_FALSE(overrun);
}
