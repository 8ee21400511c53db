#include <cerrno>
#include <chrono>
#include <optional>

#include "agent/dataplane/left_behind.h"
#include "agent/dataplane/table_owner.h"
#include "netlink/nftables/codec.h"
#include "rules/nftables/ruleset.h"
#include "test/dataplane/sync_support.h"
#include "test/support/fake/kernel.h"
#include "test/support/linux_release.h"

/// Begins a case of a kernel that has tables which outlive their owner.
#define OWNING_WORLD() \
  SYNC_TEST_WORLD();   \
  if (!world().fake()) KUBENATD_NEEDS_LINUX(6, 9, "tables that outlive their owner")

/// The table of nftables mode where it belongs to the agent (flags owner and persist), and where it cannot.
namespace kubenatd::agent::test {
namespace {

using dataplane::TableOwnership;
using rules::Family;
using State = TableOwnership::State;
using How = TableOwnership::How;

constexpr std::string_view kTable = rules::nftables::kTable;

config::Config owned_config(config::Settings::OwnTable own = config::Settings::OwnTable::kAuto) {
  config::Config config = nftables_config();
  config.own_table = own;
  return config;
}

std::vector<objects::ObjectEvent> objects() {
  objects::Service web = service("web", "10.96.0.1");
  web.ports[0].node_port = 30080;
  web.affinity_seconds = 60;
  return {put(web), put(slice("web", {"10.244.1.5", "10.244.2.7"})), put(service("six", "fd00:10:96::1")),
          put(slice("six", {"fd00:10:244:1::5"}))};
}

std::string difference() {
  return test::difference(nftables_config(), objects());
}

TableOwnership ownership_of(Agent& agent, Family family = Family::kIpv4) {
  return agent.model().dataplane(family).table_ownership();
}

netlink::TableState state_of_table(Family family = Family::kIpv4) {
  netlink::NfTables tables = open_tables();
  const auto state = tables.table(family, kTable);
  REQUIRE(state);
  REQUIRE(*state);
  return **state;
}

/// What another program is answered; 0: it was done.
int try_delete_table(Family family = Family::kIpv4) {
  netlink::NfTables tables = open_tables();
  netlink::Batch batch;
  netlink::nftables::delete_nft_table(batch, family, kTable);
  const auto done = tables.commit(batch, std::nullopt);
  return done ? 0 : done.error().error.code;
}

/// A program that has made the table its own, without persist, and has nothing in it.
netlink::NfTables own_by_another() {
  netlink::NfTables other = open_tables();
  netlink::Batch batch;
  netlink::nftables::add_nft_table(batch, Family::kIpv4, netlink::kTableOwner);
  REQUIRE(other.commit(batch, std::nullopt));
  return other;
}

/// Errors of a round, one a line.
std::string errors_of(const dataplane::RoundReport& report) {
  return AgentOn::describe(report);
}

}  // namespace

TEST_CASE("an owned table: flush ruleset passes it by and nobody else can change it", "[short]") {
  OWNING_WORLD();
  must_run("nft add table inet firewall");
  Agent agent(owned_config());
  CHECK(agent.apply(objects()).wrote());
  for (const Family family : rules::kFamilies) {
    CHECK(ownership_of(agent, family).state == State::kOwned);
    CHECK(ownership_of(agent, family).how == How::kMade);
    CHECK(state_of_table(family).flags == dataplane::kOwnedForever);
    CHECK(state_of_table(family).owner == ownership_of(agent, family).port);
    CHECK(try_delete_table(family) == EPERM);
  }
  must_run("nft flush ruleset");
  CHECK_FALSE(has_line(must_run("nft list tables"), "firewall"));
  CHECK(difference() == "");
  CHECK_FALSE(agent.follow().wrote());
  // What it writes itself goes on: elements, sets and rules of a new kind, and all that a full comparison does.
  objects::Service other = service("other", "10.96.0.2");
  other.affinity_seconds = 61;
  CHECK(agent.apply({put(other), put(slice("other", {"10.244.1.6"}))}).wrote());
  CHECK(agent.apply({remove_service("other"), remove_slice("other")}).wrote());
  CHECK(difference() == "");
  CHECK_FALSE(agent.audit().wrote());
}

TEST_CASE("an owned table stays when its owner goes, and the next agent writes nothing but its flags") {
  OWNING_WORLD();
  Agent(owned_config()).apply(objects());
  CHECK(state_of_table().is_orphan());
  CHECK(difference() == "");
  const std::uint32_t before = generation();
  Agent agent(owned_config());
  const dataplane::RoundReport report = agent.apply(objects());
  CHECK_FALSE(report.wrote());
  CHECK(generation() == before + 2);  // the table of each family
  CHECK(ownership_of(agent).state == State::kOwned);
  CHECK(ownership_of(agent).how == How::kAdopted);
  CHECK(state_of_table().owner == ownership_of(agent).port);
  CHECK(difference() == "");
}

TEST_CASE("an owner that is gone has left something else: the next agent takes it over and puts it right") {
  OWNING_WORLD();
  Agent(owned_config()).apply(objects());
  // Base chains may not be made together with the change of the flags.
  netlink::NfTables other = open_tables();
  netlink::Batch batch;
  netlink::nftables::flush_nft_chain(batch, Family::kIpv4, "nat-output");
  netlink::nftables::delete_nft_chain(batch, Family::kIpv4, "nat-output");
  REQUIRE(other.commit(batch, std::nullopt));
  must_run("nft add chain ip kubenatd stranger");
  must_run("nft flush set ip kubenatd cluster-ips");
  Agent agent(owned_config());
  CHECK(agent.apply(objects()).wrote());
  CHECK(ownership_of(agent).state == State::kOwned);
  CHECK(difference() == "");
}

TEST_CASE("a table that cannot be owned is made anew in one transaction, under cover of another one") {
  OWNING_WORLD();
  Agent(nftables_config()).apply(objects());
  REQUIRE(state_of_table().flags == 0);
  const std::uint32_t before = generation();
  Agent agent(owned_config());
  agent.apply(objects());
  CHECK(generation() == before + 6);  // in each family one, and one before and after it for the table that stands in
  CHECK(must_run("nft list tables") == "table ip kubenatd\ntable ip6 kubenatd\n");
  CHECK(ownership_of(agent).how == How::kReplaced);
  CHECK(state_of_table().flags == dataplane::kOwnedForever);
  CHECK(difference() == "");
  CHECK_FALSE(agent.audit().wrote());
}

TEST_CASE("switched off, the table that was owned before is kept as it is, and can be owned again") {
  OWNING_WORLD();
  Agent(owned_config()).apply(objects());
  std::uint32_t before = generation();
  {
    Agent agent(owned_config(config::Settings::OwnTable::kOff));
    CHECK_FALSE(agent.apply(objects()).wrote());
    CHECK(generation() == before);
    CHECK(ownership_of(agent).state == State::kOff);
    // As before, then: others can change it, and that is healed.
    CHECK(try_delete_table() == 0);
    CHECK(agent.follow().wrote());
    CHECK(difference() == "");
    must_run("nft flush ruleset");
    CHECK(agent.follow().wrote());
    CHECK(difference() == "");
  }
  before = generation();
  Agent agent(owned_config(config::Settings::OwnTable::kOn));
  agent.apply(objects());
  CHECK(ownership_of(agent).state == State::kOwned);
  CHECK(generation() == before + 6);  // each was made anew, under cover
  CHECK(difference() == "");
}

TEST_CASE("a second agent names the first, does not spin, and takes over when that ends") {
  OWNING_WORLD();
  const auto own = GENERATE(config::Settings::OwnTable::kAuto, config::Settings::OwnTable::kOff);
  std::optional<Agent> first(std::in_place, owned_config());
  first->apply(objects());
  const std::uint32_t before = generation();
  Agent second(owned_config(own));
  dataplane::RoundReport report = second.try_sync(objects());
  CHECK(report.failed());
  CHECK(has_line(errors_of(report), "ip kubenatd: take over: the table belongs to "));
  CHECK(ownership_of(second).state == State::kForeign);
  CHECK(ownership_of(second).port == ownership_of(*first).port);
  CHECK_FALSE(report.settled[0]);
  // Told once, and tried again soon, but not at once.
  report = second.try_sync();
  CHECK(report.families.empty());
  const auto now = dataplane::Reconciler::Clock::now();
  CHECK_FALSE(second.reconciler().due(now));
  CHECK(second.reconciler().due(now + std::chrono::seconds(1)));
  CHECK(generation() == before);
  // The first goes on meanwhile.
  CHECK(first->apply({put(slice("web", {"10.244.1.5"}))}).wrote());
  first.reset();
  report = second.sync();
  CHECK(report.wrote());  // the endpoint
  CHECK(ownership_of(second).state == (own == config::Settings::OwnTable::kOff ? State::kOff : State::kOwned));
  CHECK(difference() == "");
}

TEST_CASE("an agent whose table another program has taken names that, and takes it back when it ends") {
  OWNING_WORLD();
  Agent(owned_config()).apply(objects());
  Agent agent(nftables_config());  // it does not own it
  agent.apply(objects());
  std::optional<Agent> other(std::in_place, owned_config());
  other->apply(objects());
  dataplane::RoundReport report = agent.follow();
  CHECK(report.failed());
  CHECK(ownership_of(agent).state == State::kForeign);
  CHECK_FALSE(report.settled[0]);
  other.reset();
  report = agent.sync();
  CHECK(report.settled[0]);
  CHECK(ownership_of(agent).state == State::kOff);
}

TEST_CASE("a table of that name which another program owns is waited for") {
  OWNING_WORLD();
  std::optional<netlink::NfTables> other(own_by_another());
  Agent agent(owned_config());
  const dataplane::RoundReport report = agent.try_sync(objects());
  CHECK(report.failed());
  CHECK(report.settled[1]);  // the other family is served
  CHECK(ownership_of(agent, Family::kIpv6).state == State::kOwned);
  other.reset();  // its table goes with it, and nobody is told
  agent.sync();
  CHECK(ownership_of(agent).state == State::kOwned);
  CHECK(difference() == "");
}

TEST_CASE("an owned table is not cleaned up beside its owner, and is after it") {
  OWNING_WORLD();
  std::optional<Agent> agent(std::in_place, owned_config());
  agent->apply(objects());
  netlink::NfTables tables = open_tables();
  const auto removed = dataplane::remove(tables, Family::kIpv4, dataplane::LeftBehind::kKubenatdTable);
  REQUIRE_FALSE(removed);
  CHECK(removed.error().code == EBUSY);
  CHECK(has_line(removed.error().to_string(), "which runs"));
  CHECK(difference() == "");
  agent.reset();
  CHECK(dataplane::remove(tables, Family::kIpv4, dataplane::LeftBehind::kKubenatdTable)->tables == 1);
}

TEST_CASE("an agent in iptables mode leaves an owned table until its owner ends") {
  OWNING_WORLD();
  std::optional<Agent> elements(std::in_place, owned_config());
  elements->apply(objects());
  Agent chains(config());
  const dataplane::RoundReport report = chains.apply(objects());
  REQUIRE(report.other_proxies.size() == 2);
  for (const auto& news : report.other_proxies) {
    CHECK(news.kind == dataplane::OtherProxies::News::Kind::kOwned);
    CHECK_FALSE(news.where.empty());
  }
  CHECK(chains.reconciler().left_standing(Family::kIpv4).size() == 1);
  CHECK(chains.reconciler().deadline() <= dataplane::Reconciler::Clock::now() + dataplane::OtherProxies::kOwnerAgain);
  elements.reset();
  CHECK(has_line(must_run("nft list tables"), "kubenatd"));
}

TEST_CASE("a table that was put to sleep is woken") {
  SYNC_TEST_WORLD();
  Agent agent(nftables_config());
  agent.apply(objects());
  netlink::NfTables other = open_tables();
  netlink::Batch batch;
  netlink::nftables::add_nft_table(batch, Family::kIpv4, netlink::kTableDormant);
  REQUIRE(other.commit(batch, std::nullopt));
  REQUIRE(state_of_table().flags == netlink::kTableDormant);
  const dataplane::RoundReport report = agent.follow();
  CHECK_FALSE(healed_by(report).empty());
  CHECK(state_of_table().flags == 0);
  CHECK(difference() == "");
}

TEST_CASE("a kernel without tables that outlive their owner: all heals as before", "[fake]") {
  FAKE_WORLD_ONLY("this kernel has what others lack");
  world().fake()->know_table_flags(GENERATE(0x1U, 0x3U));
  Agent agent(owned_config(GENERATE(config::Settings::OwnTable::kAuto, config::Settings::OwnTable::kOn)));
  agent.apply(objects());
  CHECK(ownership_of(agent).state == State::kUnsupported);
  CHECK(state_of_table().flags == 0);
  must_run("nft flush ruleset");
  CHECK_FALSE(healed_by(agent.follow()).empty());
  CHECK(difference() == "");
}

TEST_CASE("when it cannot be found out whether tables can be owned the agent works, and asks again", "[fake]") {
  FAKE_WORLD_ONLY("nothing fails by order");
  Agent(owned_config(config::Settings::OwnTable::kOff)).apply(objects());
  world().fake()->refuse(
      [](const kubenatd::test::FakeMessage& message) { return message.table.starts_with("kubenatd-trial"); }, ENOMEM,
      2);
  Agent agent(owned_config());
  agent.apply(objects());
  CHECK(ownership_of(agent).state == State::kUnsupported);
  CHECK(difference() == "");
  agent.audit();
  CHECK(ownership_of(agent).state == State::kOwned);
  CHECK(ownership_of(agent).how == How::kReplaced);
  CHECK(difference() == "");
}

TEST_CASE("a table that is not there is made owned without a trial") {
  OWNING_WORLD();
  const std::uint32_t before = generation();
  Agent agent(owned_config());
  agent.apply(objects());
  CHECK(ownership_of(agent).state == State::kOwned);
  CHECK(ownership_of(agent).how == How::kMade);
  CHECK(generation() == before + 4);  // two families
  if (!world().fake())
    CHECK(must_run("nft list table ip kubenatd").find(rules::nftables::kTableComment) != std::string::npos);
  CHECK(difference() == "");
}

TEST_CASE("when a table that is not there cannot be made owned for another reason, that is said and tried again",
          "[fake]") {
  FAKE_WORLD_ONLY("nothing fails by order");
  world().fake()->refuse([](const kubenatd::test::FakeMessage& message) { return message.table == kTable; }, ENOMEM, 1);
  Agent agent(owned_config());
  const dataplane::RoundReport report = agent.try_sync(objects());
  CHECK(errors_of(report).find("Cannot allocate memory") != std::string::npos);
  agent.sync();
  CHECK(ownership_of(agent).state == State::kOwned);
  CHECK(difference() == "");
}

}  // namespace kubenatd::agent::test
