#include "rules/nftables/ruleset.h"
#include "test/dataplane/interposer.h"
#include "test/dataplane/sync_support.h"

// Changes whose echo or events would be larger than a socket's buffer, and outcomes that have to be looked up.
namespace kubenatd::agent::test {
namespace {

using Mode = config::Config::Mode;

std::vector<std::string> addresses(std::size_t count) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < count; ++i)
    all.push_back("10.244." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1));
  return all;
}

objects::ObjectEvent pod_with_host_ports(const std::string& address, std::uint16_t count) {
  objects::Pod pod;
  pod.key = {"demo", "many"};
  pod.node_name = "node-1";
  pod.phase = objects::Pod::Phase::kRunning;
  pod.addresses = {ip(address)};
  for (std::uint16_t i = 0; i < count; ++i)
    pod.ports.push_back(
        {"", rules::Protocol::kTcp, static_cast<std::uint16_t>(10000 + i), static_cast<std::uint16_t>(20000 + i), {}});
  return {objects::Kind::kPod, pod.key, std::make_shared<const objects::Object>(pod)};
}

std::vector<objects::ObjectEvent> many_services(int count) {
  std::vector<objects::ObjectEvent> all;
  for (int i = 0; i < count; ++i) {
    const std::string name = "s" + std::to_string(i);
    const std::string low = std::to_string(i / 250) + "." + std::to_string(i % 250 + 1);
    all.push_back(put(service(name, "10.96." + low)));
    all.push_back(put(slice(name, {"10.244." + low, "10.245." + low})));
  }
  return all;
}

void check_lost_endpoint(Mode mode) {
  const config::Config config = config_of(mode);
  Agent agent(config);
  std::vector<std::string> endpoints = addresses(8000);
  agent.apply({put(service("large", "10.96.0.1")), put(slice("large", endpoints))});
  endpoints.erase(endpoints.begin() + 4000);
  const dataplane::RoundReport report = agent.apply({put(slice("large", endpoints))});
  CHECK(report.wrote());
  for (const auto& family : report.families) CHECK(family.sync.retries == 0);
  CHECK(difference(config, {put(service("large", "10.96.0.1")), put(slice("large", endpoints))}) == "");
  CHECK_FALSE(agent.sync().wrote());
}

void check_host_ports(Mode mode) {
  const config::Config config = config_of(mode);
  constexpr std::uint16_t kPorts = 2000;
  Agent agent(config);
  agent.apply({pod_with_host_ports("10.244.1.5", kPorts)});
  const dataplane::RoundReport report = agent.apply({pod_with_host_ports("10.244.1.6", kPorts)});
  CHECK(report.wrote());
  for (const auto& family : report.families) CHECK(family.sync.retries == 0);
  CHECK(difference(config, {pod_with_host_ports("10.244.1.6", kPorts)}) == "");
  CHECK_FALSE(agent.sync().wrote());
}

void check_lost_answers(Mode mode) {
  const config::Config config = config_of(mode);
  Interposer kernel(world().kernel());
  Agent agent(config, kernel);
  agent.apply({put(service("web", "10.96.0.1")), put(slice("web", {"10.244.1.5"}))});
  const std::uint32_t before = generation();
  kernel.lose_answers(1);
  const std::vector<objects::ObjectEvent> wanted{put(service("web", "10.96.0.1")),
                                                 put(slice("web", {"10.244.1.5", "10.244.1.6"}))};
  agent.apply(wanted);
  CHECK(difference(config, wanted) == "");
  CHECK(generation() == before + 1);  // written once
  CHECK_FALSE(agent.sync().wrote());
  CHECK_FALSE(agent.audit().wrote());
}

void check_lost_answers_at_cold_start(Mode mode, std::size_t lost) {
  const config::Config config = config_of(mode);
  const auto all = many_services(1500);
  Interposer kernel(world().kernel());
  Agent agent(config, kernel);
  kernel.lose_answers(lost);
  agent.apply(all);
  CHECK(difference(config, all) == "");
  CHECK_FALSE(agent.audit().wrote());
}

}  // namespace

TEST_CASE("a service that loses one of 8 000 endpoints", "[long]") {
  SYNC_TEST_WORLD();
  check_lost_endpoint(Mode::kIptables);
}

TEST_CASE("a service that loses one of 8 000 endpoints, in nftables mode") {
  SYNC_TEST_WORLD();
  check_lost_endpoint(Mode::kNftables);
}

TEST_CASE("a pod with 2 000 host ports whose address changes") {
  SYNC_TEST_WORLD();
  check_host_ports(Mode::kIptables);
}

TEST_CASE("a pod with 2 000 host ports whose address changes, in nftables mode") {
  SYNC_TEST_WORLD();
  check_host_ports(Mode::kNftables);
}

TEST_CASE("a commit whose answer was lost is looked up, not taken as failed") {
  SYNC_TEST_WORLD();
  check_lost_answers(Mode::kIptables);
}

TEST_CASE("a commit whose answer was lost is looked up, not taken as failed, in nftables mode") {
  SYNC_TEST_WORLD();
  check_lost_answers(Mode::kNftables);
}

TEST_CASE("a large cold start goes on when the answers to its first transactions were lost", "[long]") {
  for (const std::size_t lost : {1, 2}) {
    SYNC_TEST_WORLD();
    check_lost_answers_at_cold_start(Mode::kIptables, lost);
  }
}

TEST_CASE("a large cold start goes on when the answer to its transaction was lost, in nftables mode") {
  SYNC_TEST_WORLD();
  check_lost_answers_at_cold_start(Mode::kNftables, 1);
}

TEST_CASE("an agent that dies between the stages of a cold start leaves nothing in use, and the next one ends it",
          "[long]") {
  const auto all = many_services(1500);
  std::size_t in_all = 0;
  {
    SYNC_TEST_WORLD();
    Interposer kernel(world().kernel());
    Agent(config(), kernel).apply(all);
    in_all = kernel.commits();
  }
  // The last two are the one of IPv4 that packets meet, and that of IPv6.
  REQUIRE(in_all >= 3);
  for (std::size_t commits = 1; commits < in_all - 1; ++commits) {
    SYNC_TEST_WORLD();
    {
      Interposer kernel(world().kernel());
      Agent agent(config(), kernel);
      kernel.die_after(commits);
      const dataplane::RoundReport report = agent.try_sync(all);
      CHECK(report.failed());
      CHECK(kernel.commits() == commits);
    }
    const std::string left = saved();
    CHECK(has_line(left, ":KUBE-SEP-"));
    for (const char* chain : {"-A PREROUTING", "-A OUTPUT", "-A INPUT", "-A FORWARD", "-A KUBE-SERVICES"})
      CHECK_FALSE(has_line(left, chain));
    Agent next;
    next.apply(all);
    check_no_difference(config(), all);
    CHECK_FALSE(next.audit().wrote());
  }
}

}  // namespace kubenatd::agent::test
