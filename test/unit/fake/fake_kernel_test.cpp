#include <fmt/format.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <set>

#include "netlink/core/monitor.h"
#include "netlink/core/nf_tables.h"
#include "netlink/iptables/reader.h"
#include "netlink/iptables/writer.h"
#include "netlink/nftables/codec.h"
#include "rules/nftables/ruleset.h"
#include "test/support/fake/kernel.h"

using namespace kubenatd;
using namespace kubenatd::netlink::iptables;
using netlink::Batch;
using netlink::Monitor;
using netlink::NfTables;
using netlink::TableEvent;
using rules::Family;
using rules::Table;
using test::FakeKernel;
using test::FakeMessage;
using Kind = TableEvent::Kind;

namespace {

constexpr Family kFamily = Family::kIpv4;
constexpr Table kNat = Table::kNat;

rules::Rule jump(const std::string& chain, const std::string& comment = "x") {
  rules::Rule rule;
  rule.matches = {rules::CommentMatch{comment}};
  rule.target = rules::Jump{chain, false};
  return rule;
}

NfTables open_tables(FakeKernel& kernel) {
  return NfTables(kernel.connect().value());
}

/// A table nat with the chains A and B, and two rules in A.
void make_content(NfTables& tables) {
  Batch batch;
  add_table(batch, kFamily, kNat);
  add_chain(batch, kFamily, kNat, "A");
  add_chain(batch, kFamily, kNat, "B");
  add_rule(batch, kFamily, kNat, "A", jump("B", "one"));
  add_rule(batch, kFamily, kNat, "A", jump("B", "two"));
  REQUIRE(tables.commit(batch, std::nullopt));
}

std::vector<Kind> drain(Monitor& monitor, bool& overrun) {
  std::vector<Kind> kinds;
  const auto drained = monitor.drain([&](const TableEvent& event) { kinds.push_back(event.kind); });
  REQUIRE(drained);
  overrun = drained->overrun;
  return kinds;
}

bool is_readable(int fd) {
  pollfd wait{fd, POLLIN, 0};
  return ::poll(&wait, 1, 0) == 1;
}

}  // namespace

TEST_CASE("The fake keeps what a transaction writes, and tells it in every way") {
  FakeKernel kernel;
  NfTables tables = open_tables(kernel);
  const std::uint32_t before = kernel.generation();
  make_content(tables);
  CHECK(kernel.generation() == before + 1);
  CHECK(tables.generation().value() == before + 1);
  CHECK(kernel.tables(kFamily) == std::vector<std::string>{"nat"});
  CHECK(kernel.tables(Family::kIpv6).empty());
  CHECK(kernel.chains(kFamily, "nat") == std::vector<std::string>{"A", "B"});
  const auto rules = kernel.rules_of(kFamily, "nat", "A");
  REQUIRE(rules.size() == 2);
  CHECK(rules[0].rule == jump("B", "one"));
  std::vector<std::uint64_t> handles;
  REQUIRE(netlink::iptables::dump_rules(
      tables, kFamily, kNat, {}, [&](netlink::iptables::LiveRule& live) { handles.push_back(live.handle); }, [] {}));
  CHECK(handles == std::vector<std::uint64_t>{rules[0].handle, rules[1].handle});
  std::uint32_t use = 0;
  REQUIRE(netlink::iptables::dump_chains(
      tables, kFamily, kNat,
      [&](const netlink::iptables::LiveChain& chain) { use = chain.name == "B" ? chain.use : use; }, [] {}));
  CHECK(use == 2);
  CHECK(kernel.counts().transactions == 1);
  CHECK(kernel.counts().messages == 5);
}

TEST_CASE("A refused transaction leaves nothing, and every refused message is answered") {
  FakeKernel kernel;
  NfTables tables = open_tables(kernel);
  make_content(tables);
  const auto rules = kernel.rules_of(kFamily, "nat", "A");
  const std::uint32_t generation = kernel.generation();
  Batch batch;
  flush_chain(batch, kFamily, kNat, "A");
  add_rule(batch, kFamily, kNat, "A", jump("MISSING"));
  add_chain(batch, kFamily, kNat, "B", true);
  add_chain(batch, kFamily, kNat, "C");
  const auto report = tables.commit(batch, std::nullopt);
  REQUIRE_FALSE(report);
  REQUIRE(report.error().refusals.size() == 2);
  CHECK(report.error().refusals[0].code == ENOENT);
  CHECK(report.error().refusals[0].expression == "immediate");
  CHECK(report.error().refusals[0].jump == "MISSING");
  CHECK(report.error().refusals[1].code == EEXIST);
  CHECK(kernel.rules_of(kFamily, "nat", "A") == rules);
  CHECK_FALSE(kernel.has_chain(kFamily, "nat", "C"));
  CHECK(kernel.generation() == generation);
  CHECK(kernel.counts().refused == 1);
}

TEST_CASE("Another writer is heard, with its name") {
  FakeKernel kernel;
  NfTables tables = open_tables(kernel);
  Monitor monitor(kernel.connect().value());
  make_content(tables);
  REQUIRE(monitor.join());
  CHECK_FALSE(is_readable(monitor.fd()));
  test::ForeignWriter writer(kernel, 77, "nft");
  Batch batch;
  flush_chain(batch, kFamily, kNat, "A");
  REQUIRE(writer.write(batch));
  CHECK(is_readable(monitor.fd()));
  std::vector<std::string> seen;
  REQUIRE(monitor.drain([&](const TableEvent& event) {
    CHECK(event.port_id == writer.port_id());
    seen.push_back(event.kind == Kind::kGeneration ? fmt::format("{} {}", event.process_name, event.process_id)
                                                   : fmt::format("{} {}", event.chain, event.handle != 0));
  }));
  CHECK(seen == std::vector<std::string>{"A true", "A true", "nft 77"});
  CHECK_FALSE(is_readable(monitor.fd()));
  REQUIRE(monitor.leave());
  batch.clear();
  add_chain(batch, kFamily, kNat, "C");
  REQUIRE(writer.write(batch));
  CHECK_FALSE(is_readable(monitor.fd()));
}

TEST_CASE("A writer that comes between makes a guarded transaction fail") {
  FakeKernel kernel;
  NfTables tables = open_tables(kernel);
  make_content(tables);
  test::ForeignWriter writer(kernel);
  kernel.before_next_commit([&] {
    Batch batch;
    add_chain(batch, kFamily, kNat, "FOREIGN");
    REQUIRE(writer.write(batch));
  });
  Batch batch;
  add_chain(batch, kFamily, kNat, "C");
  const auto report = tables.commit(batch, kernel.generation());
  REQUIRE_FALSE(report);
  CHECK(report.error().generation_changed);
  CHECK(kernel.has_chain(kFamily, "nat", "FOREIGN"));
  CHECK_FALSE(kernel.has_chain(kFamily, "nat", "C"));
}

TEST_CASE("Refusals on order: so often, with the place at fault") {
  FakeKernel kernel;
  NfTables tables = open_tables(kernel);
  make_content(tables);
  const auto add = [&](const rules::Rule& rule) {
    Batch batch;
    add_rule(batch, kFamily, kNat, "A", rule);
    return tables.commit(batch, std::nullopt);
  };
  kernel.refuse([](const FakeMessage& message) { return message.type == NFT_MSG_NEWRULE && message.name == "A"; },
                EPERM, 2);
  CHECK(add(jump("B")).error().error.code == EPERM);
  CHECK(add(jump("B")).error().error.code == EPERM);
  CHECK(add(jump("B")));
  rules::Rule recent = jump("B");
  recent.matches.emplace_back(rules::RecentMatch{"KUBE", rules::RecentMatch::Action::kSet, 0, false});
  kernel.refuse_expression("match recent", ENOENT, test::kForever);
  for (int i = 0; i < 3; ++i) CHECK(add(recent).error().refusals.at(0).expression == "match recent");
  CHECK(add(jump("B")));
  kernel.forget_refusals();
  CHECK(add(recent));
  kernel.refuse([](const FakeMessage& message) { return message.type == NFT_MSG_GETCHAIN; }, EPERM, 1);
  CHECK(tables.has_chain(kFamily, kNat, "A").error().code == EPERM);
  CHECK(tables.has_chain(kFamily, kNat, "A").value());
  kernel.withhold_rights();
  CHECK(tables.generation().error().code == EPERM);
  CHECK(add(jump("B")).error().error.code == EPERM);
  kernel.withhold_rights(false);
  CHECK(add(jump("B")));
}

TEST_CASE("An element refused on order is named") {
  using namespace rules::nftables;
  using namespace netlink::nftables;
  FakeKernel kernel;
  NfTables tables = open_tables(kernel);
  SetSpec set;
  set.ref = {SetId::kClusterIps, 0};
  set.name = name_of(set.ref);
  set.key = {FieldType::kAddress};
  const auto key = [&](int last) {
    ElementKey made;
    made.set = set.ref;
    made.key.address(*rules::Address::parse(fmt::format("10.0.0.{}", last)));
    return made;
  };
  Batch batch;
  add_nft_table(batch, kFamily);
  add_nft_set(batch, kFamily, set);
  ElementWriter writer(batch, kFamily, ElementWriter::Change::kAdd);
  for (int i = 1; i < 4; ++i) writer.write(key(i));
  writer.end();
  kernel.refuse_element(
      [&](const FakeMessage&, std::string_view element) { return read_nft_element(element, set.ref).key == key(2); },
      EEXIST);
  const auto refused = tables.commit(batch, std::nullopt);
  REQUIRE_FALSE(refused);
  CHECK(read_nft_element(refused.error().refusals.at(0).attributes, set.ref).key == key(2));
  CHECK(kernel.sets(kFamily, kTable).empty());
  REQUIRE(tables.commit(batch, std::nullopt));
  const auto elements = kernel.elements(kFamily, kTable, set.name);
  REQUIRE(elements.size() == 3);
  CHECK(read_nft_element(elements[1].attributes, set.ref).key == key(2));
}

TEST_CASE("Transactions and sends that fail on order") {
  FakeKernel kernel;
  NfTables tables = open_tables(kernel);
  make_content(tables);
  Batch batch;
  add_chain(batch, kFamily, kNat, "C");
  kernel.fail_next_commit(ERESTART);
  CHECK(tables.commit(batch, std::nullopt).error().generation_changed);
  kernel.fail_next_commit(ENOMEM);
  CHECK(tables.commit(batch, std::nullopt).error().error.code == ENOMEM);
  kernel.fail_next_send(ENOBUFS);
  CHECK(tables.commit(batch, std::nullopt).error().error.code == ENOBUFS);
  CHECK_FALSE(kernel.has_chain(kFamily, "nat", "C"));
  CHECK(tables.commit(batch, std::nullopt));
  CHECK(kernel.has_chain(kFamily, "nat", "C"));
}

TEST_CASE("Lost events are an overrun, and so are lost answers of a transaction that counts") {
  FakeKernel kernel;
  NfTables tables = open_tables(kernel);
  Monitor monitor(kernel.connect().value());
  REQUIRE(monitor.join());
  kernel.lose_next_events();
  make_content(tables);
  bool overrun = false;
  CHECK(is_readable(monitor.fd()));
  CHECK(drain(monitor, overrun).empty());
  CHECK(overrun);

  const auto socket = kernel.connect().value();
  kernel.lose_next_answers();
  Batch batch;
  add_chain(batch, kFamily, kNat, "C");
  (void)tables.commit(batch, std::nullopt);
  CHECK(kernel.has_chain(kFamily, "nat", "C"));
  CHECK(drain(monitor, overrun) == std::vector<Kind>{Kind::kChainAdded, Kind::kGeneration});
  CHECK_FALSE(overrun);
}

TEST_CASE("A queue that is too full loses events and says so once") {
  FakeKernel kernel;
  NfTables tables = open_tables(kernel);
  make_content(tables);
  const auto listener = kernel.connect().value();
  REQUIRE(listener->join(NFNLGRP_NFTABLES));
  Batch batch;
  for (int i = 0; i < 2000; ++i) add_rule(batch, kFamily, kNat, "A", jump("B"));
  REQUIRE(tables.commit(batch, std::nullopt));
  CHECK(listener->poll()->kind == netlink::Received::Kind::kOverrun);
  int datagrams = 0;
  while (listener->poll()->kind == netlink::Received::Kind::kData) ++datagrams;
  CHECK(datagrams > 10);
  batch.clear();
  flush_chain(batch, kFamily, kNat, "B");
  add_chain(batch, kFamily, kNat, "C");
  REQUIRE(tables.commit(batch, std::nullopt));
  CHECK(listener->poll()->kind == netlink::Received::Kind::kData);
}

TEST_CASE("Interrupted dumps are tried again, but not for ever") {
  FakeKernel kernel;
  NfTables tables = open_tables(kernel);
  make_content(tables);
  int restarts = 0, seen = 0;
  const auto dump = [&] {
    restarts = seen = 0;
    return netlink::iptables::dump_rules(
        tables, kFamily, kNat, "A", [&](netlink::iptables::LiveRule&) { ++seen; },
        [&] {
          ++restarts;
          seen = 0;
        });
  };
  kernel.interrupt_dumps(3);
  REQUIRE(dump());
  CHECK(restarts == 3);
  CHECK(seen == 2);
  kernel.interrupt_dumps(test::kForever);
  CHECK(dump().error().code == EINTR);
  kernel.interrupt_dumps(0);
  REQUIRE(dump());
  CHECK(restarts == 0);
}

TEST_CASE("Flows are swept as told") {
  FakeKernel kernel;
  for (const std::uint16_t port : {1, 2, 3}) {
    netlink::host::ConntrackFlow flow;
    flow.protocol = port == 3 ? 6 : 17;
    flow.original_destination = *rules::Address::parse("10.0.0.1");
    flow.original_destination_port = port;
    kernel.add_flow(flow);
  }
  const auto stale = [](const netlink::host::ConntrackFlow& flow) { return flow.original_destination_port != 1; };
  kernel.fail_next_sweep(EOPNOTSUPP);
  CHECK(kernel.sweep_flows(kFamily, 17, stale).error().code == EOPNOTSUPP);
  const auto sweep = kernel.sweep_flows(kFamily, 17, stale);
  REQUIRE(sweep);
  CHECK(sweep->seen == 2);
  CHECK(sweep->deleted == 1);
  CHECK(kernel.sweep_flows(Family::kIpv6, 17, stale)->seen == 0);
  CHECK(kernel.flows().size() == 2);
}
