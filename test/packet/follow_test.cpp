#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>

#include "test/support/cluster.h"
#include "test/support/lab.h"

/// What clients notice when endpoints move: sockets that stay open over a change.
namespace kubenatd::test {
namespace {

ServiceSpec dns_service() {
  return {
      .name = "dns",
      .cluster_ips = {"10.96.0.53", "fd00:10:96::53"},
      .ports = {PortSpec{.name = "dns", .protocol = "UDP", .port = 53, .node_port = 30053},
                PortSpec{.name = "tcp", .protocol = "TCP", .port = 53}},
      .type = "LoadBalancer",
      .external_ips = {"198.51.100.53"},
      .ingress = {{"203.0.113.53"}},
  };
}

/// Every way into the service, as sockets that were answered by `by`.
struct Flows {
  Flows(const Lab& lab, const std::string& by) {
    all.emplace_back(lab.pod_b, Transport::kUdp, "10.96.0.53", 53);
    all.emplace_back(lab.node, Transport::kUdp, "10.96.0.53", 53);
    all.emplace_back(lab.client, Transport::kUdp, kNode, 30053);
    all.emplace_back(lab.client, Transport::kUdp, "203.0.113.53", 53);
    all.emplace_back(lab.client, Transport::kUdp, "198.51.100.53", 53);
    all.emplace_back(lab.pod_b, Transport::kUdp, "fd00:10:96::53", 53);
    all.emplace_back(lab.client, Transport::kUdp, kNode6, 30053);
    for (auto& flow : all) {
      const auto outcome = flow.ask();
      INFO("flow " << (&flow - all.data()) << ": " << outcome);
      REQUIRE(outcome.by == by);
    }
  }

  /// Each flow by itself ends at `by`, within the time that following a change may take.
  void must_move_to(const std::string& by) {
    for (auto& flow : all) {
      Outcome last;
      const bool moved = eventually([&] { return (last = flow.ask(kSilenceTime)).by == by; });
      INFO("flow " << (&flow - all.data()) << ": " << last);
      CHECK(moved);
    }
  }

  void must_be_refused() {
    for (auto& flow : all) {
      Outcome last;
      const bool refused = eventually([&] { return (last = flow.ask(kSilenceTime)).refused(); });
      INFO("flow " << (&flow - all.data()) << ": " << last);
      CHECK(refused);
    }
  }

  std::vector<Conversation> all;
};

TEST_CASE("UDP flows follow when their endpoint is replaced", "[short]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const auto service = dns_service();
  manifests.put(service, ready({kPodA, kPodA6}));
  const Agent agent(lab.node, manifests);
  agent.apply();
  const auto daemon = agent.start();
  Flows flows(lab, "pod-a");

  manifests.put_endpoints(service, ready({kPodB, kPodB6}));
  flows.must_move_to("pod-b");
}

TEST_CASE("UDP flows to NodePorts follow on addresses that are local by a route") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const auto routes = [&](const std::string& words) {
    must_run_in(lab.node, {"sh", "-ec", "ip route " + words});
    must_run_in(lab.client, {"sh", "-ec", "ip route replace 203.0.113.0/24 via " + std::string(kNode)});
  };
  routes("add local 203.0.113.5/32 dev eth0 proto 66; ip route add local 203.0.113.128/28 dev lo");
  must_run_in(lab.node, {"ip", "-6", "route", "add", "local", "2001:db8:113::/64", "dev", "lo"});
  must_run_in(lab.client, {"ip", "-6", "route", "replace", "2001:db8:113::/64", "via", kNode6});
  const Manifests manifests;
  const auto service = dns_service();
  manifests.put(service, ready({kPodA, kPodA6}));
  const Agent agent(lab.node, manifests, "nodePortAddresses: [all]\n");
  agent.apply();
  const auto daemon = agent.start();
  std::vector<Conversation> flows;
  for (const char* address : {"203.0.113.5", "203.0.113.130", "2001:db8:113::130"})
    flows.emplace_back(lab.client, Transport::kUdp, address, 30053);
  for (auto& flow : flows) {
    const auto outcome = flow.ask();
    INFO("flow " << (&flow - flows.data()) << ": " << outcome);
    REQUIRE(outcome.by == "pod-a");
  }
  // This one is answered by nobody yet, and known to connection tracking so.
  flows.emplace_back(lab.client, Transport::kUdp, "203.0.113.70", 30053);
  CHECK(flows.back().ask(kSilenceTime).by.empty());
  manifests.put_endpoints(service, ready({kPodB, kPodB6}));
  routes("add local 203.0.113.64/28 dev lo");
  for (auto& flow : flows) {
    Outcome last;
    const bool moved = eventually([&] { return (last = flow.ask(kSilenceTime)).by == "pod-b"; });
    INFO("flow " << (&flow - flows.data()) << ": " << last);
    CHECK(moved);
  }
}

TEST_CASE("UDP flows follow when the port of their endpoint changes") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  auto service = dns_service();
  manifests.put(service, ready({kPodA, kPodA6}));
  const Agent agent(lab.node, manifests);
  agent.apply();
  const auto daemon = agent.start();
  Flows flows(lab, "pod-a");

  service.ports.front().target = 9090;
  manifests.put(service, ready({kPodA, kPodA6}));
  for (auto& flow : flows.all) CHECK(eventually([&] { return flow.ask(kSilenceTime).at == 9090; }));
}

TEST_CASE("UDP flows of a service scaled to zero are refused, and come back with it") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const auto service = dns_service();
  manifests.put(service, ready({kPodA, kPodA6}));
  const Agent agent(lab.node, manifests);
  agent.apply();
  const auto daemon = agent.start();
  Flows flows(lab, "pod-a");

  SECTION("its slices are empty") {
    manifests.put_endpoints(service, {});
  }
  SECTION("its slices are gone") {
    manifests.remove_endpoints(service);
  }
  flows.must_be_refused();
  manifests.put_endpoints(service, ready({kPodB, kPodB6}));
  flows.must_move_to("pod-b");
}

TEST_CASE("UDP flows of a deleted service no longer reach its endpoints") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const auto service = dns_service();
  manifests.put(service, ready({kPodA, kPodA6}));
  const Agent agent(lab.node, manifests);
  agent.apply();
  const auto daemon = agent.start();
  Flows flows(lab, "pod-a");

  manifests.remove(service);
  for (auto& flow : flows.all) {
    Outcome last;
    const bool gone = eventually([&] { return !(last = flow.ask(kSilenceTime)).answered(); });
    INFO("flow " << (&flow - flows.all.data()) << ": " << last);
    CHECK(gone);
  }
}

TEST_CASE("UDP flows are put right for changes made while kubenatd was not running") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const auto service = dns_service();
  manifests.put(service, ready({kPodA, kPodA6}));
  const Agent agent(lab.node, manifests);
  agent.apply();
  Flows flows(lab, "pod-a");

  SECTION("another endpoint") {
    manifests.put_endpoints(service, ready({kPodB, kPodB6}));
    agent.apply();
    for (auto& flow : flows.all) CHECK(flow.ask().by == "pod-b");
  }
  SECTION("no endpoint") {
    manifests.put_endpoints(service, {});
    agent.apply();
    for (auto& flow : flows.all) CHECK(flow.ask().refused());
  }
  SECTION("no service") {
    manifests.remove(service);
    agent.apply();
    for (auto& flow : flows.all) CHECK_FALSE(flow.ask(kSilenceTime).answered());
  }
}

TEST_CASE("A UDP flow that began before its service existed finds it") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const Agent agent(lab.node, manifests);
  agent.apply();
  Conversation early(lab.pod_b, Transport::kUdp, "10.96.0.53", 53);
  REQUIRE(early.ask(kSilenceTime).dropped());

  manifests.put(dns_service(), ready({kPodA, kPodA6}));
  agent.apply();
  const auto outcome = early.ask();
  INFO(outcome);
  CHECK(outcome.by == "pod-a");
}

TEST_CASE("UDP flows whose endpoint stays are left alone") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const auto service = dns_service();
  manifests.put(service, ready({kPodA, kPodA6}));
  const Agent agent(lab.node, manifests);
  agent.apply();
  Flows flows(lab, "pod-a");
  std::vector<int> source_ports;
  for (auto& flow : flows.all) source_ports.push_back(flow.ask().source_port);

  // With twice as many endpoints a flow that was cut would move with a probability of 1/2 each.
  manifests.put_endpoints(service, ready({kPodA, kPodB, kPodC, kPodA6, kPodB6, kPodC6}));
  agent.apply();
  for (std::size_t i = 0; i < flows.all.size(); ++i) {
    const auto outcome = flows.all[i].ask();
    INFO("flow " << i << ": " << outcome);
    CHECK(outcome.by == "pod-a");
    CHECK(outcome.source_port == source_ports[i]);
  }
}

TEST_CASE("UDP that is not of any service is left alone") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const auto service = dns_service();
  manifests.put(service, ready({kPodA, kPodA6}));
  const Agent agent(lab.node, manifests);
  agent.apply();
  // Straight to a pod, and through a DNAT of someone else.
  must_run_in(lab.node, {"iptables", "-t", "nat", "-A", "PREROUTING", "-d", "198.51.100.200", "-p", "udp", "-j", "DNAT",
                         "--to-destination", std::string(kPodA) + ":9090"});
  Conversation straight(lab.client, Transport::kUdp, "198.51.100.200", 9090);
  Conversation direct(lab.pod_b, Transport::kUdp, kPodA, 8080);
  const auto first = straight.ask();
  INFO(first);
  REQUIRE(first.by == "pod-a");
  REQUIRE(direct.ask().by == "pod-a");
  const auto entries = [&] {
    return must_run_in(lab.node, {"conntrack", "-L", "-p", "udp", "-d", "198.51.100.200"}) +
           must_run_in(lab.node, {"conntrack", "-L", "-p", "udp", "-d", kPodA});
  };
  REQUIRE(lines_of(entries()).size() == 2);

  manifests.put_endpoints(service, {});
  agent.apply();
  CHECK(lines_of(entries()).size() == 2);
}

TEST_CASE("Open TCP connections outlive the removal of their endpoint") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const auto service = dns_service();
  manifests.put(service, ready({kPodA}));
  const Agent agent(lab.node, manifests);
  agent.apply();
  Conversation open(lab.pod_b, Transport::kTcp, "10.96.0.53", 53);
  REQUIRE(open.ask().by == "pod-a");

  manifests.put_endpoints(service, ready({kPodB}));
  agent.apply();
  CHECK(open.ask().by == "pod-a");
  CHECK(ask(lab.pod_a, Transport::kTcp, "10.96.0.53", 53).by == "pod-b");
  manifests.remove(service);
  agent.apply();
  CHECK(open.ask().by == "pod-a");
}

TEST_CASE("A running kubenatd follows its folder") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const Agent agent(lab.node, manifests);
  auto daemon = agent.start();
  const auto answers = [&](const std::string& by) {
    return eventually([&] { return ask(lab.client, Transport::kTcp, "10.96.0.53", 53, kSilenceTime).by == by; });
  };
  const auto service = dns_service();

  manifests.put(service, ready({kPodA}));
  CHECK(answers("pod-a"));
  manifests.put_endpoints(service, ready({kPodC}));
  CHECK(answers("pod-c"));
  manifests.put_endpoints(service, {{.address = kPodC, .terminating = true}, {.address = kPodB}});
  CHECK(answers("pod-b"));
  manifests.remove(service);
  CHECK(eventually([&] { return !has_rule(lab.node, in_nftables_mode() ? "10.96.0.53" : "demo/dns"); }));
  REQUIRE(daemon.running());
  daemon.signal(SIGTERM);
  const auto ended = daemon.wait(std::chrono::seconds(10));
  REQUIRE(ended);
  INFO(ended->describe());
  CHECK(ended->status == 0);
  CHECK(has_rule(lab.node,
                 in_nftables_mode() ? "chain nat-postrouting" : "-A KUBE-POSTROUTING"));  // stopping takes nothing away
}

}  // namespace
}  // namespace kubenatd::test
