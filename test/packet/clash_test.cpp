#include <catch2/catch.hpp>
#include <string>

#include "test/support/cluster.h"
#include "test/support/lab.h"

/// Several Services that claim one frontend: the first by name with usable endpoints serves it.
namespace kubenatd::test {
namespace {

constexpr const char* kShared = "203.0.113.60";

const std::vector<PortSpec> kPorts{PortSpec{}, PortSpec{.name = "udp", .protocol = "UDP"}};

ServiceSpec blue() {
  return {.name = "blue", .cluster_ips = {"10.96.13.1"}, .ports = kPorts, .external_ips = {kShared}};
}

ServiceSpec green() {
  return {.name = "green", .cluster_ips = {"10.96.13.2"}, .ports = kPorts, .external_ips = {kShared}};
}

std::string who(const Namespace& from, Transport transport, const char* address = kShared, std::uint16_t port = 80) {
  const Outcome outcome = ask(from, transport, address, port);
  return outcome.answered() ? outcome.by : outcome.refused() ? "refused" : "nobody";
}

bool becomes(Conversation& flow, const std::string& by) {
  return eventually([&] { return flow.ask(kSilenceTime).by == by; });
}

TEST_CASE("field F13: traffic moves from blue to green and back with the endpoints") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(blue(), std::vector<EndpointSpec>{});
  manifests.put(green(), ready({kPodB}));
  const Agent agent(lab.node, manifests);
  agent.apply();
  const auto check_all = [&](const std::string& by) {
    for (const auto* from : {&lab.client, &lab.node, &lab.pod_a})
      for (const Transport transport : {Transport::kTcp, Transport::kUdp}) CHECK(who(*from, transport) == by);
  };
  check_all("pod-b");
  CHECK(who(lab.pod_b, Transport::kTcp, "10.96.13.1") == "refused");
  const auto daemon = agent.start();
  Conversation flow(lab.client, Transport::kUdp, kShared, 80);
  REQUIRE(flow.ask().by == "pod-b");

  manifests.put_endpoints(blue(), ready({kPodA}));
  REQUIRE(becomes(flow, "pod-a"));  // green's endpoint serves on, for its own address
  check_all("pod-a");
  CHECK(who(lab.client, Transport::kTcp, "10.96.13.2") == "pod-b");
  manifests.put_endpoints(blue(), {});
  REQUIRE(becomes(flow, "pod-b"));
  check_all("pod-b");
  manifests.put_endpoints(blue(), ready({kPodA}));
  REQUIRE(becomes(flow, "pod-a"));
  manifests.remove(blue());
  REQUIRE(becomes(flow, "pod-b"));
  check_all("pod-b");
  manifests.put_endpoints(green(), {});
  CHECK(eventually([&] { return who(lab.client, Transport::kTcp) == "refused"; }));
}

TEST_CASE("Each kind of frontend goes to the Service with usable endpoints") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  ServiceSpec first = blue(), second = green();
  std::string address = kShared;
  std::uint16_t port = 80;
  SECTION("a load balancer's address and an external one") {
    first.type = "LoadBalancer";
    first.external_ips.clear();
    first.ingress = {{kShared}};
  }
  SECTION("a cluster IP and an external address") {
    second.external_ips = {"10.96.13.1"};
    address = "10.96.13.1";
  }
  SECTION("an external address and a cluster IP") {
    first.external_ips = {"10.96.13.2"};
    address = "10.96.13.2";
  }
  SECTION("a load balancer's address and a cluster IP") {
    second.type = "LoadBalancer";
    second.external_ips.clear();
    second.ingress = {{"10.96.13.1"}};
    address = "10.96.13.1";
  }
  SECTION("one NodePort") {
    for (ServiceSpec* service : {&first, &second}) {
      service->type = "NodePort";
      service->ports = {PortSpec{.node_port = 30080}};
    }
    address = kNode;
    port = 30080;
  }
  SECTION("affinity") {
    first.affinity_seconds = second.affinity_seconds = 600;
  }
  const Agent agent(lab.node, manifests);
  const auto check_all = [&](const std::string& by) {
    agent.apply();
    CHECK(who(lab.client, Transport::kTcp, address.c_str(), port) == by);
    CHECK(who(lab.pod_b, Transport::kTcp, address.c_str(), port) == by);
  };
  manifests.put(first, std::vector<EndpointSpec>{});
  manifests.put(second, ready({kPodB}));
  check_all("pod-b");
  manifests.put_endpoints(first, ready({kPodA}));
  check_all("pod-a");
  manifests.put_endpoints(second, {});
  check_all("pod-a");
  manifests.put_endpoints(first, {});
  check_all("refused");
}

TEST_CASE("A Service of policy Local with no endpoint here leaves its frontend to another") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  ServiceSpec first = blue();
  first.type = "LoadBalancer";
  first.external_policy = "Local";
  first.health_check_node_port = 32000;
  manifests.put(first, ready({kPodC}));
  manifests.put(green(), ready({kPodB}));
  const Agent agent(lab.node, manifests);
  agent.apply();
  CHECK(who(lab.client, Transport::kTcp) == "pod-b");
  manifests.put_endpoints(first, ready({kPodA, kPodC}));
  agent.apply();
  const Outcome outcome = ask(lab.client, Transport::kTcp, kShared, 80);
  CHECK(outcome.by == "pod-a");
  CHECK(outcome.source == kClient);  // all of it is the first one's, its policy, too
}

TEST_CASE("The order of Services is the same in the tree form of KUBE-SERVICES", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  for (int i = 0; i < 20; ++i)
    manifests.put({.name = "filler" + std::to_string(i), .cluster_ips = {"203.0.113." + std::to_string(i * 4 + 1)}},
                  ready({kPodC}));
  manifests.put(blue(), std::vector<EndpointSpec>{});
  manifests.put(green(), ready({kPodB}));
  Agent agent(lab.node, manifests);
  agent.extra_arguments = {"--dispatch", "tree"};
  agent.apply();
  REQUIRE(has_rule(lab.node, "KUBE-SVC-IP-"));
  CHECK(who(lab.client, Transport::kTcp) == "pod-b");
  manifests.put_endpoints(blue(), ready({kPodA}));
  agent.apply();
  CHECK(who(lab.client, Transport::kTcp) == "pod-a");
}

}  // namespace
}  // namespace kubenatd::test
