#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "netlink/core/batch.h"
#include "netlink/core/nf_tables.h"
#include "netlink/iptables/writer.h"
#include "test/dataplane/sync_support.h"
#include "test/support/random_cluster.h"

namespace kubenatd::agent::test {
namespace {

/// Another program that writes all the time, with a short pause, from a thread and a socket of its own.
class OtherWriter {
 public:
  using Fill = std::function<void(netlink::Batch& batch, std::size_t round)>;

  OtherWriter(std::chrono::microseconds pause, Fill fill) {
    auto socket = world().kernel().connect();
    REQUIRE(socket);
    thread_ =
        std::thread([this, pause, fill = std::move(fill), kernel = netlink::NfTables(std::move(*socket))]() mutable {
          for (std::size_t round = 0; !ending_; ++round) {
            netlink::Batch batch;
            fill(batch, round);
            if (kernel.commit(batch, std::nullopt)) ++commits_;
            std::this_thread::sleep_for(pause);
          }
        });
    while (commits_ == 0) std::this_thread::yield();
  }
  ~OtherWriter() { (void)end(); }
  OtherWriter(const OtherWriter&) = delete;
  OtherWriter& operator=(const OtherWriter&) = delete;

  /// How often it wrote so far. A kernel in memory is so quick that a fixed number of changes may be done before the
  /// other has come to much.
  [[nodiscard]] std::size_t writes() const { return commits_; }
  /// Stops it; how often it wrote.
  std::size_t end() {
    ending_ = true;
    if (thread_.joinable()) thread_.join();
    return commits_;
  }

 private:
  std::thread thread_;
  std::atomic<bool> ending_ = false;
  std::atomic<std::size_t> commits_ = 0;
};

constexpr rules::Family kIpv4 = rules::Family::kIpv4;
constexpr rules::Table kNat = rules::Table::kNat;

rules::Rule return_rule() {
  rules::Rule rule;
  rule.target = rules::Verdict::kReturn;
  return rule;
}

/// Rewrites a chain of its own in nat, and makes and removes another one.
void write_own_chains(netlink::Batch& batch, std::size_t round) {
  netlink::iptables::flush_chain(batch, kIpv4, kNat, "OTHERS");
  netlink::iptables::add_rule(batch, kIpv4, kNat, "OTHERS", return_rule());
  netlink::iptables::add_rule(batch, kIpv4, kNat, "OTHERS", return_rule());
  if (round % 2 == 0) {
    netlink::iptables::add_chain(batch, kIpv4, kNat, "OTHERS-TOO");
  } else {
    netlink::iptables::delete_chain(batch, kIpv4, kNat, "OTHERS-TOO");
  }
}

void make_others() {
  must_run("iptables -t nat -N OTHERS");
  must_run("iptables -t nat -A PREROUTING -d 172.17.0.0/16 -j OTHERS");
}

}  // namespace

TEST_CASE("syncs succeed while another program writes all the time") {
  SYNC_TEST_WORLD();
  const config::Config small = config(config::Config::Dispatch::kAuto, 12);
  kubenatd::test::RandomCluster cluster(11, 16);
  Agent agent(small);
  make_others();
  OtherWriter other(std::chrono::microseconds(300), write_own_chains);
  for (int change = 0; change < 90 || other.writes() <= 10; ++change) {
    agent.apply({cluster.next(), cluster.next()});
    if (change % 30 == 0) agent.audit();
  }
  CHECK(other.end() > 10);
  CHECK(has_line(saved(), "-A OTHERS -j RETURN\n-A OTHERS -j RETURN\n"));
  check_no_difference(small, cluster.all());
  agent.sync();
  CHECK_FALSE(agent.audit().wrote());
}

TEST_CASE("a large cold start, an audit and a restart succeed while another program writes all the time", "[long]") {
  SYNC_TEST_WORLD();
  std::vector<objects::ObjectEvent> all;
  for (int i = 0; i < 1500; ++i) {
    const std::string name = "s" + std::to_string(i);
    const std::string low = std::to_string(i / 250) + "." + std::to_string(i % 250 + 1);
    all.push_back(put(service(name, "10.96." + low)));
    all.push_back(put(slice(name, {"10.244." + low, "10.245." + low, "10.246." + low})));
  }
  for (const config::Config::Dispatch dispatch : {config::Config::Dispatch::kLinear, config::Config::Dispatch::kTree}) {
    REQUIRE(enter_fresh_world());
    make_others();
    OtherWriter other(std::chrono::milliseconds(2), write_own_chains);
    {
      Agent agent(config(dispatch));
      CHECK(agent.apply(all).wrote());
      CHECK_FALSE(agent.audit().wrote());
      agent.apply({put(slice("s7", {"10.244.0.8"}))});
    }
    auto outcome = all;
    outcome.push_back(put(slice("s7", {"10.244.0.8"})));
    Agent again(config(dispatch));
    CHECK_FALSE(again.apply(outcome).wrote());
    CHECK(other.end() > 10);

    must_run("nft flush ruleset");
    make_others();
    OtherWriter more(std::chrono::milliseconds(2), write_own_chains);
    CHECK(again.sync().wrote());
    CHECK(more.end() > 10);
    check_no_difference(config(dispatch), outcome);
  }
}

TEST_CASE("a program that edits our chains all the time gets nowhere once it ends, and costs no service its rules") {
  SYNC_TEST_WORLD();
  kubenatd::test::RandomCluster cluster(13, 16);
  for (int i = 0; i < 60; ++i) (void)cluster.next();
  Agent agent;
  agent.apply(cluster.all());
  std::set<std::string> chains;
  for (const std::string& line : kubenatd::test::lines_of(saved()))
    if (line.starts_with(":KUBE-SVC-") || line.starts_with(":KUBE-SEP-"))
      chains.insert(line.substr(1, line.find(' ') - 1));
  const std::vector<std::string> targets(chains.begin(), chains.end());
  OtherWriter other(std::chrono::microseconds(500), [&](netlink::Batch& batch, std::size_t round) {
    switch (round % 3) {
      case 0:
        netlink::iptables::add_rule(batch, kIpv4, kNat, "KUBE-SERVICES", return_rule(),
                                    netlink::iptables::Placement::first());
        break;
      case 1: netlink::iptables::flush_chain(batch, kIpv4, kNat, targets[round % targets.size()]); break;
      default: netlink::iptables::flush_chain(batch, kIpv4, kNat, "KUBE-SERVICES"); break;
    }
  });
  for (int change = 0; change < 60 || other.writes() <= 10; ++change) (void)agent.try_sync({cluster.next()});
  CHECK(other.end() > 10);
  agent.sync();
  check_no_difference(config(), cluster.all());
  CHECK_FALSE(agent.audit().wrote());
}

TEST_CASE("two agents with the same objects do not fight") {
  SYNC_TEST_WORLD();
  kubenatd::test::RandomCluster cluster(12, 12);
  for (int i = 0; i < 60; ++i) (void)cluster.next();
  Agent one;
  Agent two;
  one.apply(cluster.all());
  CHECK_FALSE(two.apply(cluster.all()).wrote());
  for (int change = 0; change < 40; ++change) {
    const std::vector<objects::ObjectEvent> events{cluster.next(), cluster.next()};
    one.apply(events);
    two.apply(events);
    const std::uint32_t before = generation();
    one.sync();
    two.sync();
    CHECK(generation() == before);
  }
  check_no_difference(config(), cluster.all());
}

}  // namespace kubenatd::agent::test
