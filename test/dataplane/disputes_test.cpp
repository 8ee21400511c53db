#include "test/dataplane/sync_support.h"

// One object that somebody fights over is held, and nothing else waits for it.
namespace kubenatd::agent::test {
namespace {

using Mode = config::Config::Mode;
using Clock = dataplane::Reconciler::Clock;

std::vector<objects::ObjectEvent> objects() {
  return {put(service("web", "10.96.0.1")), put(slice("web", {"10.244.1.5", "10.244.2.7"})),
          put(service("api", "10.96.0.2")), put(slice("api", {"10.244.1.6"})), put(service("idle", "10.96.0.3"))};
}

/// Another program's edits in one mode: of the object that is fought over, and of two others.
struct Fight {
  Mode mode;
  std::string edit;
  rules::ObjectRef object;
  std::string other_edit;
  rules::ObjectRef other;
  std::string third_edit;
  rules::ObjectRef third;
};

const rules::Family kIpv4 = rules::Family::kIpv4;

Fight fight_in_iptables() {
  return {Mode::kIptables,
          "iptables -t nat -I KUBE-SERVICES -j RETURN",
          rules::chain_ref(kIpv4, "nat", "KUBE-SERVICES"),
          "iptables -t nat -F KUBE-MARK-MASQ",
          rules::chain_ref(kIpv4, "nat", "KUBE-MARK-MASQ"),
          "iptables -F KUBE-FORWARD",
          rules::chain_ref(kIpv4, "filter", "KUBE-FORWARD")};
}

Fight fight_in_nftables() {
  return {Mode::kNftables,
          "nft delete element ip kubenatd cluster-ips { 10.96.0.1 }",
          rules::set_ref(kIpv4, "kubenatd", "cluster-ips"),
          "nft delete element ip kubenatd endpoints { 10.96.0.1 . tcp . 80 . 7f00:1 }",
          rules::set_ref(kIpv4, "kubenatd", "endpoints"),
          "nft flush chain ip kubenatd services",
          rules::chain_ref(kIpv4, "kubenatd", "services")};
}

/// Heals until it takes the longest to be healed again; the disputes that were told.
std::vector<dataplane::Drift::Dispute> escalate(Agent& agent, const Fight& fight) {
  std::vector<dataplane::Drift::Dispute> told;
  for (int round = 0; round < 30; ++round) {
    must_run(fight.edit);
    const dataplane::RoundReport report = agent.sync();
    CHECK(healed_by(report) == std::vector{fight.object});
    for (const auto& family : report.families)
      told.insert(told.end(), family.sync.drift.disputes.begin(), family.sync.drift.disputes.end());
    if (!told.empty()) CHECK_FALSE(report.last_writer.empty());
    if (!told.empty() && told.back().delay == dataplane::Drift::kLongestDelay) break;
  }
  return told;
}

void check_dispute(const Fight& fight) {
  const config::Config config = config_of(fight.mode);
  Agent agent(config);
  agent.apply(objects());
  while (agent.reconciler().due(Clock::now())) (void)agent.reconciler().reconcile();
  const auto disputes = escalate(agent, fight);
  REQUIRE(disputes.size() > 5);
  CHECK(disputes.front().delay == dataplane::Drift::kFirstDelay);
  CHECK(disputes.back().delay == dataplane::Drift::kLongestDelay);
  for (const auto& dispute : disputes) CHECK(dispute.object == fight.object);
  CHECK(difference(config, objects()) == "");

  // Held: it is not healed now, but its time will come.
  must_run(fight.edit);
  const std::string damage = difference(config, objects());
  REQUIRE(damage != "");
  dataplane::RoundReport report = agent.follow();
  CHECK_FALSE(report.wrote());
  CHECK(report.settled == std::array{true, true});
  CHECK(difference(config, objects()) == damage);
  CHECK_FALSE(agent.reconciler().due(Clock::now()));
  CHECK(agent.reconciler().deadline() <= Clock::now() + dataplane::Drift::kLongestDelay);

  SECTION("whatever else is changed is healed at once") {
    must_run(fight.other_edit);
    report = agent.follow();
    CHECK(healed_by(report) == std::vector{fight.other});
    CHECK(difference(config, objects()) == damage);
    must_run(fight.third_edit);
    report = agent.follow();
    CHECK(healed_by(report) == std::vector{fight.third});
    CHECK(difference(config, objects()) == damage);
  }
  SECTION("an audit does not heal it, and heals the rest") {
    must_run(fight.other_edit);
    agent.reconciler().require_audit();
    report = agent.follow();
    CHECK(healed_by(report) == std::vector{fight.other});
    CHECK(difference(config, objects()) == damage);
  }
  SECTION("objects' changes elsewhere do not wait") {
    auto wanted = objects();
    wanted[3] = put(slice("api", {"10.244.1.6", "10.244.1.7"}));
    agent.reconciler().apply({wanted[3]});
    CHECK(agent.reconciler().due(Clock::now()));
    report = agent.reconciler().reconcile();
    CHECK(report.wrote());
    CHECK(healed_by(report).empty());
    CHECK(difference(config, wanted) != "");
    agent.sync();
    CHECK(difference(config, wanted) == "");
  }
  SECTION("objects' changes of the very object do not wait either") {
    auto wanted = objects();
    wanted.push_back(put(service("more", "10.96.0.9")));
    wanted.push_back(put(slice("more", {"10.244.1.9"})));
    agent.reconciler().apply({wanted[5], wanted[6]});
    report = agent.reconciler().reconcile();
    CHECK(report.wrote());
    CHECK(report.settled == std::array{true, true});
    CHECK(difference(config, wanted).find("10.96.0.9") == std::string::npos);
    agent.sync();
    CHECK(difference(config, wanted) == "");
  }
  SECTION("when all that is held back is asked for, it is healed") {
    report = agent.sync();
    CHECK(healed_by(report) == std::vector{fight.object});
    CHECK(difference(config, objects()) == "");
  }
}

}  // namespace

TEST_CASE("a chain that is changed again and again waits longer and longer, and nothing else does") {
  SYNC_TEST_WORLD();
  check_dispute(fight_in_iptables());
}

TEST_CASE("a set that is changed again and again waits longer and longer, and nothing else does, in nftables mode") {
  SYNC_TEST_WORLD();
  check_dispute(fight_in_nftables());
}

}  // namespace kubenatd::agent::test
