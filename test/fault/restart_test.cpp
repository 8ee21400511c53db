#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>
#include <regex>
#include <thread>

#include "test/support/cluster.h"
#include "test/support/lab.h"

namespace kubenatd::test {
namespace {

ServiceSpec flapping(int number) {
  return {.name = fmt::format("flap{}", number),
          .cluster_ips = {fmt::format("10.96.8.{}", number)},
          .ports = {PortSpec{.node_port = 31000 + number}, PortSpec{.name = "udp", .protocol = "UDP"}},
          .type = "NodePort"};
}

void put_many(const Manifests& manifests) {
  for (int i = 0; i < 40; ++i) manifests.put(flapping(i), ready({kPodA, kPodB, kPodC}));
  manifests.put({.name = "dead", .cluster_ips = {"10.96.0.11"}}, std::vector<EndpointSpec>{});
  manifests.put({.name = "six", .cluster_ips = {"fd00:10:96::10"}}, ready({kPodA6, kPodC6}));
}

/// Handles of all rules and chains: a rule that was written again has another one. Without counters, as the kernel's
/// own multicast packets count.
std::string handles(const Namespace& node) {
  static const std::regex counters("counter packets [0-9]+ bytes [0-9]+");
  return std::regex_replace(must_run_in(node, {"nft", "-a", "list", "ruleset"}), counters, "counter");
}

TEST_CASE("A restart against right chains writes nothing", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  put_many(manifests);
  Agent agent(bare.node, manifests);
  SECTION("linear") {
    agent.extra_arguments = {"--dispatch", "linear"};
  }
  SECTION("tree") {
    agent.extra_arguments = {"--dispatch", "tree"};
  }
  agent.apply();
  const auto generation = nf_tables_generation(bare.node);
  const auto before = handles(bare.node);

  agent.apply();
  CHECK(nf_tables_generation(bare.node) == generation);
  CHECK(changed_lines(before, handles(bare.node)) == "");

  auto daemon = agent.start();
  // It has read and compared everything when it follows a change.
  const ServiceSpec late{.name = "late", .cluster_ips = {"10.96.0.12"}};
  manifests.put(late, ready({kPodA}));
  CHECK(eventually([&] { return has_rule(bare.node, "demo/late"); }));
  manifests.remove(late);
  CHECK(eventually([&] { return !has_rule(bare.node, "demo/late"); }));
  daemon.signal(SIGTERM);
  REQUIRE(daemon.wait(std::chrono::seconds(10)));
  // A tree may be cut in another way meanwhile; a linear chain loses and gets what changed alone.
  if (agent.extra_arguments.back() == "linear") CHECK(changed_lines(before, handles(bare.node)) == "");
}

TEST_CASE("Rules written by kube-proxy's own restore are taken over without a write", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  put_many(manifests);
  const Agent agent(bare.node, manifests);
  agent.apply();
  const auto four = must_run_in(bare.node, {"iptables-save"});
  const auto six = must_run_in(bare.node, {"ip6tables-save"});

  // The same text in iptables-nft's own encoding.
  must_run_in(bare.node, {"nft", "flush", "ruleset"});
  must_run_in(bare.node, {"iptables-restore"}, four);
  must_run_in(bare.node, {"ip6tables-restore"}, six);
  const auto before = handles(bare.node);
  agent.apply();
  CHECK(changed_lines(before, handles(bare.node)) == "");
}

TEST_CASE("Counters of rules that a change does not touch are kept", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  put_many(manifests);
  const ServiceSpec web{.name = "web", .cluster_ips = {"10.96.0.10"}};
  manifests.put(web, ready({kPodB}));
  const Agent agent(lab.node, manifests);
  agent.apply();
  for (int i = 0; i < 7; ++i) REQUIRE(ask(lab.pod_a, Transport::kTcp, "10.96.0.10", 80).answered());
  const auto counted = [&] {
    for (const auto& line : lines_of(must_run_in(lab.node, {"iptables-save", "-c", "-t", "nat"}))) {
      if (line.find("-A KUBE-SERVICES -d 10.96.0.10/32") != std::string::npos) return line.substr(0, line.find(']'));
    }
    return std::string("no such rule");
  };
  const auto before = counted();
  REQUIRE(before.starts_with("[7:"));

  manifests.put_endpoints(flapping(3), ready({kPodA}));
  manifests.put_endpoints(web, ready({kPodB, kPodC}));
  manifests.remove(flapping(5));
  agent.apply();
  CHECK(counted() == before);
}

TEST_CASE("kill -9 at any time fails no new connection", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  put_many(manifests);
  manifests.put(
      {.name = "web", .cluster_ips = {"10.96.0.10"}, .ports = {PortSpec{.node_port = 30080}}, .type = "NodePort"},
      ready({kPodA, kPodB, kPodC}));
  const Agent agent(lab.node, manifests);
  agent.apply();

  SteadyTraffic traffic({{lab.pod_a, Transport::kTcp, "10.96.0.10", 80}, {lab.client, Transport::kTcp, kNode, 30080}});
  for (int round = 0; round < 30; ++round) {
    auto daemon = agent.start();
    for (int i = 0; i < 40; i += 1 + round % 3) {
      manifests.put_endpoints(flapping(i), round % 2 == 0 ? ready({kPodB}) : ready({kPodA, kPodB, kPodC}));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(7 * round % 61));
    daemon.signal(SIGKILL);
    REQUIRE(daemon.wait(std::chrono::seconds(10)));
  }
  CHECK(traffic.stop() == std::vector<std::string>{});
  CHECK(traffic.asked() > 30);

  // Whatever was left half done, one more run ends where a fresh node ends.
  agent.apply();
  const BareNode fresh;
  Agent(fresh.node, manifests).apply();
  CHECK(changed_lines(saved_rules(fresh.node), saved_rules(lab.node)) == "");
  CHECK(changed_lines(saved_rules(fresh.node, true), saved_rules(lab.node, true)) == "");
}

TEST_CASE("A first sync that is killed is completed by the next", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Manifests manifests;
  put_many(manifests);
  const BareNode fresh;
  Agent(fresh.node, manifests).apply();
  const auto right = saved_rules(fresh.node);

  for (int delay = 0; delay < 40; delay += 4) {
    const BareNode bare;
    const Agent agent(bare.node, manifests);
    auto daemon = agent.start();
    std::this_thread::sleep_for(std::chrono::milliseconds(delay));
    daemon.signal(SIGKILL);
    REQUIRE(daemon.wait(std::chrono::seconds(10)));
    agent.apply();
    CHECK(changed_lines(right, saved_rules(bare.node)) == "");
  }
}

}  // namespace
}  // namespace kubenatd::test
