#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <thread>

#include "test/packet/node_ports.h"
#include "test/support/cluster.h"
#include "test/support/lab.h"

namespace kubenatd::test {
namespace {

ServiceSpec balanced_service() {
  return {
      .name = "lb",
      .cluster_ips = {"10.96.2.1"},
      .ports = {PortSpec{.node_port = 30090}},
      .type = "LoadBalancer",
      .ingress = {{"203.0.113.10"}},
  };
}

TEST_CASE("A NodePort answers from outside, from the node and from pods, masqueraded", "[short]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(node_port_service(), ready({kPodA}));
  Agent(lab.node, manifests).apply();

  for (const auto* from : {&lab.client, &lab.node, &lab.pod_b, &lab.pod_a}) {
    const auto tcp = ask(*from, Transport::kTcp, kNode, 30080);
    INFO(tcp);
    CHECK(tcp.by == "pod-a");
    CHECK(tcp.source == kPodGateway);
    const auto udp = ask(*from, Transport::kUdp, kNode, 30081);
    INFO(udp);
    CHECK(udp.by == "pod-a");
    CHECK(udp.source == kPodGateway);
  }
  CHECK(ask(lab.client, Transport::kTcp, kNode, 30081).refused());  // that NodePort is UDP only
}

TEST_CASE("A NodePort reaches endpoints on other nodes with the node's address") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(node_port_service(), ready({kPodC}));
  Agent(lab.node, manifests).apply();

  const auto outcome = ask(lab.client, Transport::kTcp, kNode, 30080);
  INFO(outcome);
  CHECK(outcome.by == "pod-c");
  CHECK(outcome.source == kNode);
}

TEST_CASE("nodePortAddresses limits where NodePorts answer") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(node_port_service(), ready({kPodA}));

  SECTION("a prefix of eth0") {
    Agent(lab.node, manifests, "nodePortAddresses: [192.168.77.0/24]\n").apply();
    CHECK(ask(lab.client, Transport::kTcp, kNode, 30080).by == "pod-a");
    CHECK(ask(lab.pod_b, Transport::kTcp, kPodGateway, 30080).refused());
    CHECK(ask(lab.node, Transport::kTcp, "127.0.0.1", 30080).refused());
  }
  SECTION("primary") {
    Agent(lab.node, manifests, "nodePortAddresses: [primary]\n").apply();
    CHECK(ask(lab.client, Transport::kTcp, kNode, 30080).by == "pod-a");
    CHECK(ask(lab.pod_b, Transport::kTcp, kPodGateway, 30080).refused());
  }
  SECTION("a prefix that no address is in") {
    Agent(lab.node, manifests, "nodePortAddresses: [172.16.0.0/12]\n").apply();
    CHECK(ask(lab.client, Transport::kTcp, kNode, 30080).refused());
  }
}

TEST_CASE("NodePorts answer on an address that comes at any moment of a start") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  must_run_in(lab.client, {"ip", "route", "replace", "203.0.113.0/24", "via", kNode});
  const Manifests manifests;
  manifests.put(node_port_service(), ready({kPodA}));
  const Agent agent(lab.node, manifests, "nodePortAddresses: [203.0.113.0/24]\n");
  // Reading these takes some time, in which an address comes.
  std::string routes;
  for (int i = 0; i < 8'000; ++i) routes += fmt::format("route add local 198.18.{}.{}/32 dev lo\n", i / 250, i % 250);
  must_run_in(lab.node, {"ip", "-batch", "-"}, routes);
  for (int start = 0; start < 24; ++start) {
    const auto daemon = agent.start();
    const auto wait = std::chrono::milliseconds(2 * start);
    std::this_thread::sleep_for(wait);
    const std::string address = fmt::format("203.0.113.{}", 100 + start);
    must_run_in(lab.node, {"ip", "address", "add", address + "/32", "dev", "eth0"});
    INFO("after " << wait.count() << " ms");
    CHECK(eventually([&] { return ask(lab.client, Transport::kTcp, address, 30080, kSilenceTime).by == "pod-a"; }));
  }
}

TEST_CASE("externalTrafficPolicy Local keeps the source and stays on the node") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  auto service = node_port_service();
  service.external_policy = "Local";
  manifests.put(service, ready({kPodA, kPodC}));
  Agent(lab.node, manifests).apply();

  for (int i = 0; i < 20; ++i) {
    const auto outcome = ask(lab.client, Transport::kTcp, kNode, 30080);
    INFO(outcome);
    CHECK(outcome.by == "pod-a");
    CHECK(outcome.source == kClient);
  }
  CHECK(ask(lab.client, Transport::kUdp, kNode, 30081).source == kClient);
}

TEST_CASE("externalTrafficPolicy Local without a local endpoint drops from outside, not from pods and node") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  auto service = balanced_service();
  service.external_policy = "Local";
  manifests.put(service, ready({kPodC}));
  Agent(lab.node, manifests).apply();

  CHECK(is_silent(lab.client, Transport::kTcp, kNode, 30090));
  CHECK(is_silent(lab.client, Transport::kTcp, "203.0.113.10", 80));
  // The short circuit: pods keep their address, the node is masqueraded.
  const auto pod = ask(lab.pod_a, Transport::kTcp, "203.0.113.10", 80);
  INFO(pod);
  CHECK(pod.by == "pod-c");
  CHECK(pod.source == kPodA);
  const auto node = ask(lab.node, Transport::kTcp, "203.0.113.10", 80);
  INFO(node);
  CHECK(node.by == "pod-c");
  CHECK(node.source == kNode);
  CHECK(ask(lab.client, Transport::kTcp, "10.96.2.1", 80).by == "pod-c");  // internal traffic is not touched by it
}

TEST_CASE("externalTrafficPolicy Local falls back to a terminating endpoint of the node") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  auto service = node_port_service();
  service.external_policy = "Local";
  manifests.put(service, {{.address = kPodA, .terminating = true}, {.address = kPodC}});
  Agent(lab.node, manifests).apply();

  const auto outside = ask(lab.client, Transport::kTcp, kNode, 30080);
  INFO(outside);
  CHECK(outside.by == "pod-a");
  CHECK(outside.source == kClient);
  for (int i = 0; i < 20; ++i) CHECK(ask(lab.pod_b, Transport::kTcp, "10.96.1.1", 80).by == "pod-c");
}

TEST_CASE("A LoadBalancer IP answers where its ipMode is VIP") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  auto service = balanced_service();
  service.ingress = {{"203.0.113.10"}, {"203.0.113.11", "VIP"}, {"203.0.113.12", "Proxy"}};
  manifests.put(service, ready({kPodA}));
  Agent(lab.node, manifests).apply();

  for (const auto* vip : {"203.0.113.10", "203.0.113.11"}) {
    for (const auto* from : {&lab.client, &lab.node, &lab.pod_b}) {
      const auto outcome = ask(*from, Transport::kTcp, vip, 80);
      INFO(vip << ": " << outcome);
      CHECK(outcome.by == "pod-a");
      CHECK(outcome.source == kPodGateway);
    }
  }
  CHECK(is_silent(lab.client, Transport::kTcp, "203.0.113.12", 80));
}

TEST_CASE("Source ranges guard the LoadBalancer IP alone") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  auto service = balanced_service();

  SECTION("the client is allowed") {
    service.source_ranges = {"192.168.77.64/26", "172.16.0.0/12"};
    manifests.put(service, ready({kPodA}));
    Agent(lab.node, manifests).apply();
    CHECK(ask(lab.client, Transport::kTcp, "203.0.113.10", 80).by == "pod-a");
    CHECK(is_silent(lab.pod_b, Transport::kTcp, "203.0.113.10", 80));
    CHECK(is_silent(lab.node, Transport::kTcp, "203.0.113.10", 80));
  }
  SECTION("the client is not") {
    service.source_ranges = {"172.16.0.0/12"};
    manifests.put(service, ready({kPodA}));
    Agent(lab.node, manifests).apply();
    CHECK(is_silent(lab.client, Transport::kTcp, "203.0.113.10", 80));
    CHECK(ask(lab.client, Transport::kTcp, kNode, 30090).by == "pod-a");
    CHECK(ask(lab.pod_b, Transport::kTcp, "10.96.2.1", 80).by == "pod-a");
  }
  SECTION("a range of the node lets the node in") {
    service.source_ranges = {"192.168.77.2/32"};
    manifests.put(service, ready({kPodA}));
    Agent(lab.node, manifests).apply();
    CHECK(ask(lab.node, Transport::kTcp, "203.0.113.10", 80).by == "pod-a");
    CHECK(is_silent(lab.client, Transport::kTcp, "203.0.113.10", 80));
  }
  SECTION("with policy Local the source is still kept") {
    service.source_ranges = {"192.168.77.64/26"};
    service.external_policy = "Local";
    manifests.put(service, ready({kPodA, kPodC}));
    Agent(lab.node, manifests).apply();
    const auto outcome = ask(lab.client, Transport::kTcp, "203.0.113.10", 80);
    INFO(outcome);
    CHECK(outcome.by == "pod-a");
    CHECK(outcome.source == kClient);
  }
}

TEST_CASE("In nftables mode a source range that is taken away ends a flow that nobody answers", "[nftables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  auto service = balanced_service();
  service.ports = {PortSpec{.name = "udp", .protocol = "UDP"}};
  const auto allow = [&](const std::string& range) {
    service.source_ranges = {range};
    manifests.put(service, ready({kPodA}));
    Agent(lab.node, manifests, nftables_mode()).apply();
  };
  must_run_in(lab.pod_a, {"nft",
                          "add table ip sink { chain in { type filter hook input priority 0; udp dport 8080 "
                          "counter drop; }; }"});
  const auto arrived = [&] {
    const std::string text = must_run_in(lab.pod_a, {"nft", "list", "table", "ip", "sink"});
    const auto at = text.find("packets ") + 8;
    return std::stoi(text.substr(at));
  };
  allow("192.168.77.64/26");
  Conversation flow(lab.client, Transport::kUdp, "203.0.113.10", 80);
  CHECK_FALSE(flow.ask(kSilenceTime).answered());
  const int before = arrived();
  REQUIRE(before > 0);
  allow("172.16.0.0/12");
  CHECK_FALSE(flow.ask(kSilenceTime).answered());
  CHECK(arrived() == before);
  allow("192.168.77.64/26");
  CHECK_FALSE(flow.ask(kSilenceTime).answered());
  CHECK(arrived() > before);
}

TEST_CASE("externalIPs answer on the service port") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  ServiceSpec service{.name = "ext",
                      .cluster_ips = {"10.96.3.1"},
                      .ports = {PortSpec{}, PortSpec{.name = "udp", .protocol = "UDP", .port = 81}},
                      .external_ips = {"198.51.100.7", "198.51.100.8"}};

  SECTION("policy Cluster") {
    manifests.put(service, ready({kPodA}));
    Agent(lab.node, manifests).apply();
    for (const auto* ip : {"198.51.100.7", "198.51.100.8"}) {
      const auto outcome = ask(lab.client, Transport::kTcp, ip, 80);
      INFO(outcome);
      CHECK(outcome.by == "pod-a");
      CHECK(outcome.source == kPodGateway);
      CHECK(ask(lab.pod_b, Transport::kUdp, ip, 81).by == "pod-a");
    }
  }
  SECTION("policy Local") {
    service.external_policy = "Local";
    manifests.put(service, ready({kPodA, kPodC}));
    Agent(lab.node, manifests).apply();
    const auto outcome = ask(lab.client, Transport::kTcp, "198.51.100.7", 80);
    INFO(outcome);
    CHECK(outcome.by == "pod-a");
    CHECK(outcome.source == kClient);
  }
}

TEST_CASE("External addresses of a service without endpoints refuse at once") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  auto service = balanced_service();
  service.external_ips = {"198.51.100.7"};
  service.ports.push_back(PortSpec{.name = "udp", .protocol = "UDP", .node_port = 30091});
  SECTION("policy Cluster") {
    service.external_policy = "Cluster";
  }
  SECTION("policy Local") {
    service.external_policy = "Local";
  }
  manifests.put(service, std::vector<EndpointSpec>{});
  Agent(lab.node, manifests).apply();

  for (const auto* ip : {"203.0.113.10", "198.51.100.7"}) {
    for (const auto* from : {&lab.client, &lab.pod_b}) {
      INFO(ip);
      CHECK(ask(*from, Transport::kTcp, ip, 80).refused());
      CHECK(ask(*from, Transport::kUdp, ip, 80).refused());
    }
  }
  CHECK(ask(lab.client, Transport::kTcp, kNode, 30090).refused());
  CHECK(ask(lab.client, Transport::kUdp, kNode, 30091).refused());
}

TEST_CASE("The health check NodePort of a Local service is let through a closed firewall", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  auto service = balanced_service();
  service.external_policy = "Local";
  service.health_check_node_port = 30999;
  manifests.put(service, ready({kPodA}));
  const EchoServer health(lab.node, "health", {30999, 30998});
  // A firewall of the host behind kubenatd's own jumps.
  must_run_in(lab.node, {"iptables", "-A", "INPUT", "-p", "tcp", "-j", "DROP"});
  Agent(lab.node, manifests).apply();

  CHECK(ask(lab.client, Transport::kTcp, kNode, 30999).by == "health");
  CHECK(is_silent(lab.client, Transport::kTcp, kNode, 30998));
}

TEST_CASE("Forwarded service traffic passes a host that forwards nothing else", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(node_port_service(), ready({kPodA}));
  must_run_in(lab.node, {"iptables", "-P", "FORWARD", "DROP"});
  Agent(lab.node, manifests).apply();

  CHECK(ask(lab.client, Transport::kTcp, kNode, 30080).by == "pod-a");
}

}  // namespace
}  // namespace kubenatd::test
