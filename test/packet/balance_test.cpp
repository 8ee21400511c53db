#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "test/support/cluster.h"
#include "test/support/lab.h"

namespace kubenatd::test {
namespace {

const ServiceSpec kWeb{
    .name = "web",
    .cluster_ips = {"10.96.0.10", "fd00:10:96::10"},
    .ports = {PortSpec{.node_port = 30080}, PortSpec{.name = "udp", .protocol = "UDP"}},
    .type = "NodePort",
};

ServiceSpec sticky(int seconds) {
  auto service = kWeb;
  service.affinity_seconds = seconds;
  return service;
}

/// 300 draws of 1/3: mean 100, standard deviation 8.2. Below 57 or above 143 (5.2 deviations) comes with a
/// probability of about 2e-7, so one of the six counts of a test with less than 1.5e-6.
void check_even(const std::map<std::string, int>& counts) {
  CHECK(counts.size() == 3);
  for (const auto& [name, count] : counts) {
    INFO(name << " answered " << count << " of 300");
    CHECK(count >= 57);
    CHECK(count <= 143);
  }
}

TEST_CASE("Connections spread evenly over three endpoints") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA, kPodB, kPodC, kPodA6, kPodB6, kPodC6}));
  Agent(lab.node, manifests).apply();

  std::map<std::string, int> tcp, six;
  for (int i = 0; i < 300; ++i) {
    const auto outcome = ask(lab.client, Transport::kTcp, kNode, 30080);
    INFO(outcome);
    REQUIRE(outcome.answered());
    ++tcp[outcome.by];
    ++six[ask(lab.client, Transport::kTcp, "fd00:10:96::10", 80).by];
  }
  check_even(tcp);
  check_even(six);
}

TEST_CASE("UDP flows spread evenly over three endpoints") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA, kPodB, kPodC}));
  Agent(lab.node, manifests).apply();

  std::map<std::string, int> counts;
  for (int i = 0; i < 300; ++i) ++counts[ask(lab.client, Transport::kUdp, "10.96.0.10", 80).by];
  check_even(counts);
}

TEST_CASE("No connection is lost while a Service grows past each range to draw from and shrinks again") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  // All of them are pod-a, which answers with the address that was asked.
  must_run_in(lab.pod_a, {"ip", "route", "add", "local", "10.244.48.0/22", "dev", "lo"});
  must_run_in(lab.pod_a, {"iptables", "-t", "nat", "-A", "PREROUTING", "-d", "10.244.48.0/22", "-j", "REDIRECT"});
  must_run_in(lab.node, {"ip", "route", "add", "10.244.48.0/22", "dev", "vetha"});
  const auto pods = [](std::size_t count) {
    std::vector<std::string> addresses;
    for (std::size_t i = 0; i < count; ++i) addresses.push_back(fmt::format("10.244.{}.{}", 48 + i / 250, i % 250 + 1));
    return ready(addresses);
  };
  const Manifests manifests;
  manifests.put(kWeb, pods(3));
  const Agent agent(lab.node, manifests);
  const auto daemon = agent.start();
  const auto answers = [&] { return ask(lab.client, Transport::kTcp, kNode, 30080).answered(); };
  REQUIRE(eventually(answers));

  SteadyTraffic traffic({{lab.client, Transport::kTcp, "10.96.0.10", 80},
                         {lab.client, Transport::kUdp, "10.96.0.10", 80},
                         {lab.client, Transport::kTcp, kNode, 30080}});
  for (const std::size_t count : {20U, 5U, 70U, 300U, 4U, 17U, 3U}) {
    manifests.put_endpoints(kWeb, pods(count));
    CHECK(eventually([&] {
      const auto same = agent.invoke(agent.command("diff"));
      return same.status == 0;
    }));
    const int before = traffic.asked();
    CHECK(eventually([&] { return traffic.asked() > before + 60; }));
  }
  CHECK(traffic.stop() == std::vector<std::string>{});
}

TEST_CASE("No connection is lost while affinity and source ranges come into use and go again") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA, kPodB}));
  const Agent agent(lab.node, manifests);
  const auto daemon = agent.start();
  REQUIRE(eventually([&] { return ask(lab.client, Transport::kTcp, kNode, 30080).answered(); }));

  Conversation kept(lab.client, Transport::kTcp, "10.96.0.10", 80);
  REQUIRE(kept.ask().answered());
  SteadyTraffic traffic({{lab.client, Transport::kTcp, "10.96.0.10", 80},
                         {lab.client, Transport::kUdp, "10.96.0.10", 80},
                         {lab.client, Transport::kTcp, kNode, 30080}});
  ServiceSpec other{.name = "other",
                    .cluster_ips = {"10.96.0.77"},
                    .ports = {PortSpec{.port = 81, .node_port = 30081}},
                    .type = "LoadBalancer",
                    .ingress = {{"203.0.113.77"}}};
  for (int i = 0; i < 6; ++i) {
    other.affinity_seconds = i % 3 == 1 ? std::optional(60) : std::nullopt;
    other.source_ranges = i % 3 == 2 ? std::vector<std::string>{"192.0.2.0/24"} : std::vector<std::string>{};
    manifests.put(other, ready({kPodC}));
    CHECK(eventually([&] { return agent.invoke(agent.command("diff")).status == 0; }));
    const bool served = other.source_ranges.empty();
    CHECK(eventually([&] { return ask(lab.client, Transport::kTcp, "203.0.113.77", 81).answered() == served; }));
    const int before = traffic.asked();
    CHECK(eventually([&] { return traffic.asked() > before + 30; }));
  }
  CHECK(traffic.stop() == std::vector<std::string>{});
  CHECK(kept.ask().answered());
}

TEST_CASE("A client with affinity stays with its endpoint on every way in") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(sticky(10800), ready({kPodA, kPodB, kPodC, kPodA6, kPodB6, kPodC6}));
  Agent(lab.node, manifests).apply();

  for (const auto* from : {&lab.client, &lab.pod_a, &lab.pod_b}) {
    const auto first = ask(*from, Transport::kTcp, "10.96.0.10", 80);
    REQUIRE(first.answered());
    for (int i = 0; i < 15; ++i) {
      CHECK(ask(*from, Transport::kTcp, "10.96.0.10", 80).by == first.by);
      CHECK(ask(*from, Transport::kTcp, kNode, 30080).by == first.by);
    }
  }
  const auto six = ask(lab.client, Transport::kTcp, kNode6, 30080);
  REQUIRE(six.answered());
  for (int i = 0; i < 15; ++i) CHECK(ask(lab.client, Transport::kTcp, kNode6, 30080).by == six.by);
}

TEST_CASE("Affinity ends with its timeout") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(sticky(1), ready({kPodA, kPodB, kPodC}));
  Agent(lab.node, manifests).apply();

  const auto first = ask(lab.client, Transport::kTcp, "10.96.0.10", 80);
  REQUIRE(first.answered());
  // Each round chooses anew: that thirteen in a row choose the same has a probability of 6e-7.
  bool moved = false;
  for (int round = 0; round < 13 && !moved; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1300));
    moved = ask(lab.client, Transport::kTcp, "10.96.0.10", 80).by != first.by;
  }
  CHECK(moved);
}

TEST_CASE("A client whose endpoint has gone is given another one, then keeps that") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const auto service = sticky(10800);
  manifests.put(service, ready({kPodA, kPodB, kPodC}));
  const Agent agent(lab.node, manifests);
  agent.apply();
  const auto first = ask(lab.client, Transport::kTcp, "10.96.0.10", 80);
  REQUIRE(first.answered());

  std::vector<std::string> others;
  for (const auto& [name, address] : {std::pair{"pod-a", kPodA}, {"pod-b", kPodB}, {"pod-c", kPodC}}) {
    if (first.by != name) others.emplace_back(address);
  }
  manifests.put_endpoints(service, ready(others));
  agent.apply();
  const auto second = ask(lab.client, Transport::kTcp, "10.96.0.10", 80);
  INFO(second);
  CHECK(second.answered());
  CHECK(second.by != first.by);
  for (int i = 0; i < 15; ++i) CHECK(ask(lab.client, Transport::kTcp, "10.96.0.10", 80).by == second.by);
}

TEST_CASE("A client keeps its endpoint when others go and come, in both families") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const auto service = sticky(10800);
  const std::vector<std::pair<std::string, std::vector<std::string>>> all{
      {"pod-a", {kPodA, kPodA6}}, {"pod-b", {kPodB, kPodB6}}, {"pod-c", {kPodC, kPodC6}}};
  const auto without = [&](const std::vector<std::string>& names) {
    std::vector<std::string> addresses;
    for (const auto& [name, both] : all)
      if (std::ranges::find(names, name) == names.end()) addresses.insert(addresses.end(), both.begin(), both.end());
    return ready(addresses);
  };
  const Agent agent(lab.node, manifests);
  for (const char* address : {"10.96.0.10", "fd00:10:96::10"}) {
    INFO(address);
    manifests.put(service, without({}));
    agent.apply();
    const auto first = ask(lab.client, Transport::kTcp, address, 80);
    REQUIRE(first.answered());
    for (const auto& [name, both] : all) {
      if (name == first.by) continue;
      manifests.put_endpoints(service, without({name}));
      agent.apply();
      CHECK(ask(lab.client, Transport::kTcp, address, 80).by == first.by);
      manifests.put_endpoints(service, without({}));
      agent.apply();
      CHECK(ask(lab.client, Transport::kTcp, address, 80).by == first.by);
    }
    manifests.put_endpoints(service, without({first.by}));
    agent.apply();
    const auto second = ask(lab.client, Transport::kTcp, address, 80);
    CHECK(second.answered());
    CHECK(second.by != first.by);
    // What it was remembered for is back, and forgotten; a list of xt_recent is not.
    if (!in_nftables_mode()) continue;
    manifests.put_endpoints(service, without({}));
    agent.apply();
    for (int i = 0; i < 8; ++i) CHECK(ask(lab.client, Transport::kTcp, address, 80).by == second.by);
  }
}

TEST_CASE("Affinity outlives a restart and a change of another service") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(sticky(10800), ready({kPodA, kPodB, kPodC}));
  const Agent agent(lab.node, manifests);
  agent.apply();
  const auto first = ask(lab.client, Transport::kTcp, "10.96.0.10", 80);
  REQUIRE(first.answered());

  for (int i = 0; i < 6; ++i) {
    const ServiceSpec other{.name = fmt::format("other{}", i), .cluster_ips = {fmt::format("10.96.7.{}", i)}};
    manifests.put(other, ready({kPodB}));
    agent.apply();
    CHECK(ask(lab.client, Transport::kTcp, "10.96.0.10", 80).by == first.by);
    CHECK(ask(lab.client, Transport::kTcp, "10.96.0.10", 80).by == first.by);
  }
}

}  // namespace
}  // namespace kubenatd::test
