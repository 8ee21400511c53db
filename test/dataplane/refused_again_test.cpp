#include <cerrno>
#include <map>
#include <thread>

#include "netlink/iptables/reader.h"
#include "test/dataplane/sync_support.h"
#include "test/support/fake/kernel.h"

// What the kernel refused is tried again: with growing delays, and at every periodic audit, in both modes alike.
namespace kubenatd::agent::test {
namespace {

using Mode = config::Config::Mode;
using Clock = dataplane::Reconciler::Clock;

std::vector<objects::ObjectEvent> good() {
  return {put(service("web", "10.96.0.1")), put(slice("web", {"10.244.1.5"})), put(service("idle", "10.96.0.3"))};
}

/// demo/bad, which the kernel does not take: in iptables mode for -m recent --reap without a time (recent_mt_check,
/// net/netfilter/xt_recent.c, 6.18), in nftables mode for an endpoint of the other family, which does not fit into the
/// map.
std::vector<objects::ObjectEvent> bad(Mode mode) {
  objects::Service service = test::service("bad", "10.96.0.2");
  objects::EndpointSlice endpoints = slice("bad", {"10.244.1.6"});
  if (mode == Mode::kIptables) {
    service.affinity_seconds = 0;
  } else {
    endpoints = slice("bad", {"fd00:10:244:1::6"});
    endpoints.family = rules::Family::kIpv4;
  }
  return {put(service), put(endpoints)};
}

std::vector<objects::ObjectEvent> all(std::vector<objects::ObjectEvent> events,
                                      const std::vector<objects::ObjectEvent>& more) {
  events.insert(events.end(), more.begin(), more.end());
  return events;
}

void check_retries(Mode mode) {
  const config::Config config = config_of(mode);
  if (mode == Mode::kIptables) refuse_recent();
  Agent agent(config);
  dataplane::RoundReport report = agent.try_sync(all(good(), bad(mode)));
  INFO(Agent::describe(report));
  CHECK(report.failed());
  REQUIRE(problems_of(report).size() == 1);
  CHECK(problems_of(report).front().starts_with("demo/bad: refused by the kernel: "));
  REQUIRE(agent.refused().size() == 1);
  CHECK(agent.refused()[0].name == "demo/bad");
  CHECK(agent.refused()[0].refusal.code != 0);
  CHECK(report.settled == std::array{true, true});
  CHECK(difference(config, good()) == "");

  const auto first = agent.reconciler().deadline();
  CHECK(first <= Clock::now() + std::chrono::seconds(1));

  SECTION("after a delay, which grows, and quietly") {
    std::this_thread::sleep_until(first);
    const std::uint32_t before = generation();
    report = agent.follow();
    CHECK_FALSE(report.families.empty());
    CHECK_FALSE(report.failed());
    CHECK(generation() == before);
    CHECK(agent.refused().size() == 1);
    const auto second = agent.reconciler().deadline();
    CHECK(second > first + std::chrono::seconds(1));
    CHECK(second <= Clock::now() + std::chrono::seconds(2));
  }
  SECTION("at an audit, quietly, and nobody else notices") {
    const std::uint32_t before = generation();
    report = agent.audit();
    CHECK_FALSE(report.wrote());
    CHECK(generation() == before);
    CHECK(agent.refused().size() == 1);
    CHECK(difference(config, good()) == "");
  }
  SECTION("others change meanwhile") {
    report = agent.apply({put(slice("web", {"10.244.1.5", "10.244.1.9"}))});
    CHECK(report.wrote());
    CHECK(agent.refused().size() == 1);
    auto wanted = good();
    wanted[1] = put(slice("web", {"10.244.1.5", "10.244.1.9"}));
    CHECK(difference(config, wanted) == "");
  }
  SECTION("when it is changed, it is in at once") {
    const std::vector<objects::ObjectEvent> better{put(service("bad", "10.96.0.2")), put(slice("bad", {"10.244.1.6"}))};
    agent.apply(better);
    CHECK(agent.refused().empty());
    CHECK(difference(config, all(good(), better)) == "");
    CHECK_FALSE(agent.audit().wrote());
  }
  SECTION("when it goes, nothing of it is left") {
    agent.apply({remove_service("bad"), remove_slice("bad")});
    CHECK(agent.refused().empty());
    CHECK(difference(config, good()) == "");
    CHECK(agent.reconciler().deadline() > Clock::now() + std::chrono::minutes(1));
  }
}

/// An order to the kernel in memory that refuses what belongs to demo/bad.
void refuse_bad(Mode mode) {
  kubenatd::test::FakeKernel& fake = *world().fake();
  if (mode == Mode::kIptables) {
    fake.refuse_expression("match recent", ENOENT, kubenatd::test::kForever);
  } else {
    fake.refuse_element([](const kubenatd::test::FakeMessage&,
                           std::string_view element) { return element.find("demo/bad") != std::string_view::npos; },
                        ENOENT, kubenatd::test::kForever);
  }
}

void check_in_force(Mode mode) {
  const config::Config config = config_of(mode);
  objects::Service sticky = service("bad", "10.96.0.2");
  if (mode == Mode::kIptables) sticky.affinity_seconds = 60;
  const std::vector<objects::ObjectEvent> refused{put(sticky), put(slice("bad", {"10.244.1.6"}))};
  refuse_bad(mode);
  Agent agent(config);
  (void)agent.try_sync(all(good(), refused));
  REQUIRE(agent.refused().size() == 1);
  CHECK(difference(config, good()) == "");
  world().fake()->forget_refusals();

  SECTION("after the delay") {
    std::this_thread::sleep_until(agent.reconciler().deadline());
    const dataplane::RoundReport report = agent.follow();
    CHECK(report.wrote());
    CHECK(in_force(report) == std::vector<std::string>{"demo/bad"});
  }
  SECTION("at the next audit") {
    agent.reconciler().require_audit();
    const dataplane::RoundReport report = agent.follow();
    CHECK(report.wrote());
    CHECK(in_force(report) == std::vector<std::string>{"demo/bad"});
  }
  SECTION("together with a change elsewhere, at the latest when its delay has passed") {
    agent.reconciler().apply({put(slice("web", {"10.244.1.5", "10.244.1.9"}))});
    CHECK(agent.reconciler().reconcile().wrote());
    agent.reconciler().apply({put(slice("web", {"10.244.1.5"}))});
    (void)agent.sync();
  }
  CHECK(agent.refused().empty());
  CHECK(difference(config, all(good(), refused)) == "");
  CHECK_FALSE(agent.audit().wrote());
}

/// Rules of nat and elements of the table, with what identifies them in the kernel.
std::map<std::uint64_t, rules::Rule> handles() {
  std::map<std::uint64_t, rules::Rule> all;
  netlink::NfTables tables = open_tables();
  CHECK(netlink::iptables::dump_rules(
      tables, rules::Family::kIpv4, rules::Table::kNat, {},
      [&](netlink::iptables::LiveRule& rule) { all.emplace(rule.handle, std::move(rule.rule)); },
      [&] { all.clear(); }));
  return all;
}

}  // namespace

TEST_CASE("a service port that the kernel refuses is tried again, and others go on", "[long]") {
  SYNC_TEST_WORLD();
  check_retries(Mode::kIptables);
}

TEST_CASE("a service port that the kernel refuses is tried again, and others go on, in nftables mode", "[long]") {
  SYNC_TEST_WORLD();
  check_retries(Mode::kNftables);
}

TEST_CASE("a service port is in force as soon as the kernel takes it", "[fake]") {
  FAKE_WORLD_ONLY("no module comes there on order");
  check_in_force(Mode::kIptables);
}

TEST_CASE("a service port is in force as soon as the kernel takes it, in nftables mode", "[fake]") {
  FAKE_WORLD_ONLY("no module comes there on order");
  check_in_force(Mode::kNftables);
}

TEST_CASE("a pod's host ports that the kernel refuses are tried again, and are in force when it takes them", "[fake]") {
  for (const Mode mode : {Mode::kIptables, Mode::kNftables}) {
    FAKE_WORLD_ONLY("no module comes there on order");
    const config::Config config = config_of(mode);
    objects::Pod pod;
    pod.key = {"demo", "bad"};
    pod.node_name = "node-1";
    pod.phase = objects::Pod::Phase::kRunning;
    pod.addresses = {ip("10.244.1.8")};
    pod.ports = {{"", rules::Protocol::kTcp, 80, 8080, {}}};
    const objects::ObjectEvent put_pod{objects::Kind::kPod, pod.key, std::make_shared<const objects::Object>(pod)};
    kubenatd::test::FakeKernel& fake = *world().fake();
    const auto is_bad = [](std::string_view bytes) { return bytes.find("demo/bad") != std::string_view::npos; };
    if (mode == Mode::kIptables) {
      fake.refuse([is_bad](const kubenatd::test::FakeMessage& message) { return is_bad(message.attributes); }, ENOENT,
                  kubenatd::test::kForever);
    } else {
      fake.refuse_element(
          [is_bad](const kubenatd::test::FakeMessage&, std::string_view element) { return is_bad(element); }, ENOENT,
          kubenatd::test::kForever);
    }
    Agent agent(config);
    const dataplane::RoundReport report = agent.try_sync(all(good(), {put_pod}));
    INFO(Agent::describe(report));
    REQUIRE(agent.refused().size() == 1);
    CHECK(agent.refused()[0].kind == dataplane::RefusedObject::Kind::kPod);
    CHECK(agent.refused()[0].name == "demo/bad");
    CHECK(difference(config, good()) == "");
    CHECK_FALSE(agent.audit().wrote());
    fake.forget_refusals();
    CHECK(in_force(agent.audit()) == std::vector<std::string>{"demo/bad"});
    CHECK(agent.refused().empty());
    CHECK(difference(config, all(good(), {put_pod})) == "");
  }
}

TEST_CASE("of a kernel that does not say which element it refuses what is at fault alone is left out", "[fake]") {
  FAKE_WORLD_ONLY("errors on order");
  const config::Config config = config_of(Mode::kNftables);
  const std::vector<objects::ObjectEvent> bad{put(service("bad", "10.96.0.2")), put(slice("bad", {"10.244.1.6"}))};
  refuse_bad(Mode::kNftables);
  world().fake()->hide_positions();
  Agent agent(config);
  const dataplane::RoundReport report = agent.try_sync(all(good(), bad));
  INFO(Agent::describe(report));
  REQUIRE(agent.refused().size() == 1);
  CHECK(agent.refused()[0].name == "demo/bad");
  CHECK(difference(config, good()) == "");
  world().fake()->forget_refusals();
  CHECK(in_force(agent.audit()) == std::vector<std::string>{"demo/bad"});
  CHECK(difference(config, all(good(), bad)) == "");
}

TEST_CASE("trying again what is refused moves no rule of others") {
  SYNC_TEST_WORLD();
  refuse_recent();
  Agent agent;
  (void)agent.try_sync(all(good(), bad(Mode::kIptables)));
  const auto before = handles();
  const std::uint32_t old = generation();
  for (int i = 0; i < 3; ++i) CHECK_FALSE(agent.audit().wrote());
  CHECK(generation() == old);
  CHECK(handles() == before);
}

}  // namespace kubenatd::agent::test
