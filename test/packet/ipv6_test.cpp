#include <catch2/catch.hpp>
#include <cstdio>

#include "test/support/cluster.h"
#include "test/support/lab.h"

namespace kubenatd::test {
namespace {

ServiceSpec dual_service() {
  return {
      .name = "dual",
      .cluster_ips = {"10.96.4.1", "fd00:10:96::401"},
      .ports = {PortSpec{.node_port = 30050}, PortSpec{.name = "udp", .protocol = "UDP", .node_port = 30051}},
      .type = "LoadBalancer",
      .external_ips = {"198.51.100.9", "2001:db8:113::9"},
      .ingress = {{"203.0.113.40"}, {"2001:db8:113::40"}},
  };
}

TEST_CASE("A dual-stack service answers in both families with endpoints of the same family", "[short]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(dual_service(), ready({kPodA, kPodB6}));
  Agent(lab.node, manifests).apply();

  for (const auto transport : {Transport::kTcp, Transport::kUdp}) {
    const auto four = ask(lab.pod_b, transport, "10.96.4.1", 80);
    INFO(four);
    CHECK(four.by == "pod-a");
    CHECK(four.source == kPodB);
    const auto six = ask(lab.pod_a, transport, "fd00:10:96::401", 80);
    INFO(six);
    CHECK(six.by == "pod-b");
    CHECK(six.source == kPodA6);
  }
  for (const auto* ip : {kNode6, "2001:db8:113::40", "2001:db8:113::9"}) {
    const auto outside = ask(lab.client, Transport::kTcp, ip, ip == std::string(kNode6) ? 30050 : 80);
    INFO(ip << ": " << outside);
    CHECK(outside.by == "pod-b");
    CHECK(outside.source == kPodGateway6);
  }
  const auto udp = ask(lab.client, Transport::kUdp, kNode6, 30051);
  INFO(udp);
  CHECK(udp.by == "pod-b");
}

TEST_CASE("IPv6 hairpin, node and off-cluster traffic is masqueraded") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const ServiceSpec service{.name = "six", .cluster_ips = {"fd00:10:96::601"}};
  manifests.put(service, ready({kPodA6}));
  Agent(lab.node, manifests).apply();

  for (const auto* from : {&lab.pod_a, &lab.node, &lab.client}) {
    const auto outcome = ask(*from, Transport::kTcp, "fd00:10:96::601", 80);
    INFO(outcome);
    CHECK(outcome.by == "pod-a");
    CHECK(outcome.source == kPodGateway6);
  }
  const auto away = ask(lab.pod_b, Transport::kTcp, "fd00:10:96::601", 80);
  INFO(away);
  CHECK(away.source == kPodB6);
}

TEST_CASE("IPv6 NodePorts do not answer on ::1") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(dual_service(), ready({kPodA, kPodA6}));
  Agent(lab.node, manifests).apply();

  CHECK(ask(lab.node, Transport::kTcp, kNode6, 30050).by == "pod-a");
  CHECK(ask(lab.node, Transport::kTcp, "::1", 30050).refused());
}

TEST_CASE("IPv6 refuses without endpoints, drops without local ones, keeps the source with policy Local") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  auto service = dual_service();

  SECTION("no endpoints") {
    manifests.put(service, std::vector<EndpointSpec>{});
    Agent(lab.node, manifests).apply();
    for (const auto transport : {Transport::kTcp, Transport::kUdp}) {
      CHECK(ask(lab.pod_a, transport, "fd00:10:96::401", 80).refused());
      CHECK(ask(lab.node, transport, "fd00:10:96::401", 80).refused());
      CHECK(ask(lab.client, transport, "2001:db8:113::40", 80).refused());
    }
  }
  SECTION("endpoints of the other family only") {
    manifests.put(service, ready({kPodA}));
    Agent(lab.node, manifests).apply();
    CHECK(ask(lab.pod_b, Transport::kTcp, "10.96.4.1", 80).answered());
    CHECK(ask(lab.pod_b, Transport::kTcp, "fd00:10:96::401", 80).refused());
  }
  SECTION("none on this node") {
    service.external_policy = "Local";
    manifests.put(service, ready({kPodC6}));
    Agent(lab.node, manifests).apply();
    CHECK(is_silent(lab.client, Transport::kTcp, "2001:db8:113::40", 80));
    CHECK(is_silent(lab.client, Transport::kUdp, kNode6, 30051));
    const auto pod = ask(lab.pod_a, Transport::kTcp, "2001:db8:113::40", 80);
    INFO(pod);
    CHECK(pod.by == "pod-c");
    CHECK(pod.source == kPodA6);
  }
  SECTION("one on this node") {
    service.external_policy = "Local";
    manifests.put(service, ready({kPodA6, kPodC6}));
    Agent(lab.node, manifests).apply();
    for (int i = 0; i < 10; ++i) {
      const auto outcome = ask(lab.client, Transport::kTcp, kNode6, 30050);
      INFO(outcome);
      CHECK(outcome.by == "pod-a");
      CHECK(outcome.source == kClient6);
    }
  }
}

TEST_CASE("IPv6 source ranges guard IPv6 addresses, and only those") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  auto service = dual_service();
  service.source_ranges = {"fd00:77::100/128"};
  manifests.put(service, ready({kPodA, kPodA6}));
  Agent(lab.node, manifests).apply();

  CHECK(ask(lab.client, Transport::kTcp, "2001:db8:113::40", 80).by == "pod-a");
  CHECK(is_silent(lab.pod_b, Transport::kTcp, "2001:db8:113::40", 80));
  // All ranges are IPv6: the IPv4 address is open.
  CHECK(ask(lab.pod_b, Transport::kTcp, "203.0.113.40", 80).by == "pod-a");
}

}  // namespace
}  // namespace kubenatd::test
