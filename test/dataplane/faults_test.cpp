#include <linux/netfilter/nf_tables.h>

#include <cerrno>

#include "test/dataplane/sync_support.h"
#include "test/support/fake/kernel.h"

// Errors on order, in both modes: what the kernel may say at any time.
namespace kubenatd::agent::test {
namespace {

using Mode = config::Config::Mode;

std::vector<objects::ObjectEvent> objects() {
  return {put(service("web", "10.96.0.1")), put(slice("web", {"10.244.1.5", "10.244.2.7"})),
          put(service("api", "10.96.0.2")), put(slice("api", {"10.244.1.6"}))};
}

std::vector<objects::ObjectEvent> changed_objects() {
  auto wanted = objects();
  wanted[1] = put(slice("web", {"10.244.1.5"}));
  return wanted;
}

/// An agent in a fresh world that is in line with objects().
struct Settled {
  explicit Settled(Mode mode) : config(config_of(mode)), agent(config), fake(*world().fake()) {
    agent.apply(objects());
  }
  /// Removes one endpoint, without expecting success.
  dataplane::RoundReport change() { return agent.try_sync({changed_objects()[1]}); }
  void check_changed() {
    CHECK(difference(config, changed_objects()) == "");
    CHECK_FALSE(agent.audit().wrote());
  }

  config::Config config;
  Agent agent;
  kubenatd::test::FakeKernel& fake;
};

std::optional<rules::Error> error_of(const dataplane::RoundReport& report) {
  for (const auto& family : report.families)
    if (family.error) return family.error;
  return std::nullopt;
}

constexpr Mode kModes[] = {Mode::kIptables, Mode::kNftables};

/// What another program does to an object of ours.
std::string foreign_edit(Mode mode) {
  return mode == Mode::kIptables ? "iptables -t nat -F KUBE-MARK-MASQ" : "nft flush chain ip kubenatd services";
}

}  // namespace

TEST_CASE("ERESTART: another writer came between, and the same is sent again", "[fake]") {
  for (const Mode mode : kModes) {
    FAKE_WORLD_ONLY("errors on order");
    Settled settled(mode);
    settled.fake.fail_next_commit(ERESTART, 3);
    const dataplane::RoundReport report = settled.change();
    CHECK_FALSE(report.failed());
    CHECK(report.families.at(0).sync.retries == 3);
    settled.check_changed();
  }
}

TEST_CASE("ENOBUFS and ENOMEM: nothing is lost, and the family is tried again later", "[fake]") {
  for (const Mode mode : kModes)
    for (const int code : {ENOBUFS, ENOMEM}) {
      FAKE_WORLD_ONLY("errors on order");
      Settled settled(mode);
      if (code == ENOBUFS) {
        settled.fake.fail_next_send(code);
      } else {
        settled.fake.fail_next_commit(code);
      }
      const dataplane::RoundReport report = settled.change();
      REQUIRE(error_of(report));
      CHECK(error_of(report)->code == code);
      CHECK_FALSE(report.settled[0]);
      CHECK(difference(settled.config, objects()) == "");
      using Clock = dataplane::Reconciler::Clock;
      CHECK_FALSE(settled.agent.reconciler().due(Clock::now()));
      CHECK(settled.agent.reconciler().deadline() <= Clock::now() + std::chrono::seconds(1));
      CHECK(settled.agent.sync().wrote());
      settled.check_changed();
    }
}

TEST_CASE("EPERM: rights that are withheld are told, and when they come back everything is put right", "[fake]") {
  for (const Mode mode : kModes) {
    FAKE_WORLD_ONLY("errors on order");
    Settled settled(mode);
    settled.fake.withhold_rights();
    dataplane::RoundReport report = settled.change();
    REQUIRE(error_of(report));
    CHECK(error_of(report)->code == EPERM);
    report = settled.agent.try_audit();
    REQUIRE(error_of(report));
    settled.fake.withhold_rights(false);
    CHECK(settled.agent.sync().wrote());
    settled.check_changed();
  }
}

TEST_CASE("EBUSY: a chain that cannot go is emptied, named once, and goes as soon as it can", "[fake]") {
  FAKE_WORLD_ONLY("errors on order");
  Settled settled(Mode::kIptables);
  settled.fake.refuse(
      [](const kubenatd::test::FakeMessage& message) {
        return message.type == NFT_MSG_DELCHAIN && message.name.starts_with("KUBE-SEP-");
      },
      EBUSY, kubenatd::test::kForever);
  const dataplane::RoundReport report = settled.change();
  CHECK_FALSE(error_of(report));
  REQUIRE(report.families.at(0).sync.emptied.size() == 1);
  const std::string chain = report.families.at(0).sync.emptied[0].name;
  CHECK(has_line(saved(), ":" + chain));
  CHECK_FALSE(has_line(saved(), "-A " + chain));
  CHECK(report.settled[0]);
  CHECK_FALSE(settled.agent.sync().wrote());
  settled.fake.forget_refusals();
  CHECK(settled.agent.audit().wrote());
  settled.check_changed();
}

TEST_CASE("ENOENT: what was to be removed has gone already, and is looked at again", "[fake]") {
  for (const Mode mode : kModes) {
    FAKE_WORLD_ONLY("errors on order");
    Settled settled(mode);
    bool once = true;
    settled.fake.refuse(
        [&once](const kubenatd::test::FakeMessage& message) {
          const bool removes = message.type == NFT_MSG_DELRULE || message.type == NFT_MSG_DELSETELEM;
          return removes && std::exchange(once, !removes);
        },
        ENOENT);
    const dataplane::RoundReport report = settled.change();
    CHECK_FALSE(report.failed());
    CHECK(problems_of(report).empty());
    settled.check_changed();
  }
}

TEST_CASE("ENOENT: a part of the kernel that is missing is named, and the sync is tried again", "[fake]") {
  for (const Mode mode : kModes) {
    FAKE_WORLD_ONLY("errors on order");
    const std::string expression = mode == Mode::kIptables ? "target MASQUERADE" : "fib";
    world().fake()->refuse_expression(expression, ENOENT, kubenatd::test::kForever);
    const config::Config config = config_of(mode);
    Agent agent(config);
    const dataplane::RoundReport report = agent.try_sync(objects());
    REQUIRE(error_of(report));
    CHECK(error_of(report)->code == ENOENT);
    CHECK(error_of(report)->cause.find(expression.substr(expression.rfind(' ') + 1)) != std::string::npos);
    CHECK(agent.refused().empty());  // no service port is at fault
    world().fake()->forget_refusals();
    CHECK(agent.sync().wrote());
    CHECK(difference(config, objects()) == "");
  }
}

TEST_CASE("a family that fails does not keep the other from its changes", "[fake]") {
  for (const Mode mode : kModes) {
    FAKE_WORLD_ONLY("errors on order");
    const config::Config config = config_of(mode);
    Agent agent(config);
    const std::vector<objects::ObjectEvent> six{put(service("six", "fd00:10:96::1")),
                                                put(slice("six", {"fd00:10:244:1::5"}))};
    world().fake()->refuse(
        [](const kubenatd::test::FakeMessage& message) {
          return message.type == NFT_MSG_NEWCHAIN && message.family == rules::Family::kIpv4;
        },
        EINVAL, kubenatd::test::kForever);
    const dataplane::RoundReport report = agent.try_sync(six);
    CHECK(error_of(report));
    CHECK(report.settled == std::array{false, true});
    world().fake()->forget_refusals();
    agent.sync();
    CHECK(difference(config, six) == "");
  }
}

TEST_CASE("a table is replaced all the same where the one that stands in is refused, or its end is", "[fake]") {
  for (const std::uint16_t refused : {NFT_MSG_NEWSET, NFT_MSG_DELTABLE}) {
    FAKE_WORLD_ONLY("errors on order");
    config::Config config = config_of(Mode::kNftables);
    Agent(config).apply(objects());
    world().fake()->refuse(
        [refused](const kubenatd::test::FakeMessage& message) {
          return message.table == "kubenatd-cover" && message.type == refused;
        },
        EBUSY);
    config.own_table = config::Settings::OwnTable::kOn;
    Agent agent(config);
    CHECK(agent.try_sync(objects()).failed() == (refused == NFT_MSG_DELTABLE));
    agent.sync();
    CHECK(agent.model().dataplane(rules::Family::kIpv4).table_ownership().state ==
          dataplane::TableOwnership::State::kOwned);
    CHECK(must_run("nft list tables") == "table ip kubenatd\ntable ip6 kubenatd\n");
    CHECK(difference(config, objects()) == "");
  }
}

TEST_CASE("events that were lost lead to a look at everything, which heals", "[fake]") {
  for (const Mode mode : kModes) {
    FAKE_WORLD_ONLY("errors on order");
    Settled settled(mode);
    settled.fake.lose_next_events();
    must_run(foreign_edit(mode));
    REQUIRE(difference(settled.config, objects()) != "");
    const dataplane::RoundReport report = settled.agent.follow();
    CHECK(report.overruns == 1);
    CHECK(report.wrote());
    CHECK_FALSE(healed_by(report).empty());
    CHECK(difference(settled.config, objects()) == "");
    CHECK_FALSE(settled.agent.audit().wrote());
  }
}

TEST_CASE("answers that were lost while another writer came between: everything is read, and ends right", "[fake]") {
  for (const Mode mode : kModes)
    for (const std::size_t kept : {0, 1}) {
      FAKE_WORLD_ONLY("errors on order");
      Settled settled(mode);
      settled.fake.lose_next_answers(kept);
      const dataplane::RoundReport report = settled.change();
      CHECK_FALSE(report.failed());
      must_run(foreign_edit(mode));
      CHECK(settled.agent.sync().wrote());
      settled.check_changed();
    }
}

TEST_CASE("a dump that others interrupt is repeated", "[fake]") {
  for (const Mode mode : kModes) {
    FAKE_WORLD_ONLY("errors on order");
    Settled settled(mode);
    settled.fake.interrupt_dumps(3);
    CHECK_FALSE(settled.agent.audit().wrote());
    must_run(foreign_edit(mode));
    settled.fake.interrupt_dumps(2);
    CHECK(settled.agent.follow().wrote());
    CHECK(difference(settled.config, objects()) == "");
  }
}

TEST_CASE("a sweep of conntrack that fails is told, and the rules stay in force", "[fake]") {
  FAKE_WORLD_ONLY("errors on order");
  Agent agent;
  const objects::Service dns = service("dns", "10.96.0.10", rules::Protocol::kUdp);
  world().fake()->fail_next_sweep(EPERM);
  const auto slice_of = [](const std::string& address) { return put(slice("dns", {address}, rules::Protocol::kUdp)); };
  const dataplane::RoundReport report = agent.try_sync({put(dns), slice_of("10.244.1.5")});
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].code == EPERM);
  CHECK(report.settled == std::array{true, true});
  check_no_difference(config(), {put(dns), slice_of("10.244.1.5")});
  CHECK_FALSE(agent.apply({slice_of("10.244.1.6")}).sweeps.empty());
}

}  // namespace kubenatd::agent::test
