#include "test/dataplane/sync_support.h"
#include "test/support/random_cluster.h"

namespace kubenatd::agent::test {
namespace {

/// Hundreds of changes one after the other end where a fresh start ends, and on the way the kernel always has what is
/// wanted, and we always know what it has.
void soak(const config::Config& config, unsigned seed, unsigned services, int changes) {
  kubenatd::test::RandomCluster cluster(seed, services);
  {
    Agent agent(config);
    for (int change = 1; change <= changes; ++change) {
      std::vector<objects::ObjectEvent> events;
      for (unsigned i = 0; i <= cluster.below(3); ++i) events.push_back(cluster.next());
      agent.apply(std::move(events));
      if (change % 40 != 0) continue;
      INFO("seed " << seed << ", change " << change);
      check_no_difference(config, cluster.all());
      const std::uint32_t before = generation();
      CHECK_FALSE(agent.audit().wrote());
      CHECK(generation() == before);
    }
  }
  const std::string grown = saved();
  CHECK(has_line(grown, "-A KUBE-SVC-"));

  REQUIRE(enter_fresh_world());
  Agent fresh(config);
  fresh.apply(cluster.all());
  CHECK(changed(saved(), grown) == "");
}

}  // namespace

TEST_CASE("a long history ends in the chains of a fresh start: linear") {
  SYNC_TEST_WORLD();
  soak(config(config::Config::Dispatch::kLinear), 1, 20, 240);
}

TEST_CASE("a long history ends in the chains of a fresh start: tree") {
  SYNC_TEST_WORLD();
  soak(config(config::Config::Dispatch::kTree), 2, 60, 240);
}

TEST_CASE("a long history ends in the chains of a fresh start: crossing the threshold") {
  SYNC_TEST_WORLD();
  soak(config(config::Config::Dispatch::kAuto, 12), 3, 16, 280);
}

TEST_CASE("growing and shrinking across the threshold and back leaves nothing behind") {
  SYNC_TEST_WORLD();
  const config::Config small = config(config::Config::Dispatch::kAuto, 20);
  Agent agent(small);
  std::vector<objects::ObjectEvent> few;
  std::vector<objects::ObjectEvent> many;
  std::vector<objects::ObjectEvent> fewer;
  for (int i = 0; i < 60; ++i) {
    const std::string name = "s" + std::to_string(i);
    auto& part = i < 20 ? few : many;
    part.push_back(put(service(name, "10.96." + std::to_string(i % 3 * 80) + "." + std::to_string(i + 1))));
    part.push_back(put(slice(name, {"10.244.1." + std::to_string(i + 1)})));
    if (i >= 20) {
      fewer.push_back(remove_service(name));
      fewer.push_back(remove_slice(name));
    }
  }
  agent.apply(few);
  const std::string linear = saved();
  CHECK_FALSE(has_line(linear, "KUBE-SVC-IP-"));
  for (int round = 0; round < 3; ++round) {
    agent.apply(many);
    CHECK(has_line(saved(), "KUBE-SVC-IP-"));
    agent.apply(fewer);
    CHECK(changed(linear, saved()) == "");
  }
  CHECK_FALSE(agent.audit().wrote());
}

}  // namespace kubenatd::agent::test
