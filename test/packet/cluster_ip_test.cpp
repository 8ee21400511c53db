#include <catch2/catch.hpp>

#include "test/support/cluster.h"
#include "test/support/lab.h"

namespace kubenatd::test {
namespace {

const ServiceSpec kWeb{
    .name = "web",
    .cluster_ips = {"10.96.0.10"},
    .ports = {PortSpec{}, PortSpec{.name = "udp", .protocol = "UDP"}},
};

TEST_CASE("A pod reaches a cluster IP and the endpoint sees the pod's own address") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodB}));
  Agent(lab.node, manifests).apply();

  for (const auto transport : {Transport::kTcp, Transport::kUdp}) {
    const auto outcome = ask(lab.pod_a, transport, "10.96.0.10", 80);
    INFO(outcome);
    CHECK(outcome.answered());
    CHECK(outcome.by == "pod-b");
    CHECK(outcome.at == 8080);
    CHECK(outcome.source == kPodA);
  }
}

TEST_CASE("A pod reaches an endpoint on another node with its own address") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodC}));
  Agent(lab.node, manifests).apply();

  const auto outcome = ask(lab.pod_a, Transport::kTcp, "10.96.0.10", 80);
  INFO(outcome);
  CHECK(outcome.by == "pod-c");
  CHECK(outcome.source == kPodA);
}

TEST_CASE("A pod reaches itself through its service, and sees the node") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA}));
  Agent(lab.node, manifests).apply();

  for (const auto transport : {Transport::kTcp, Transport::kUdp}) {
    const auto outcome = ask(lab.pod_a, transport, "10.96.0.10", 80);
    INFO(outcome);
    CHECK(outcome.by == "pod-a");
    CHECK(outcome.source == kPodGateway);
  }
}

TEST_CASE("The node reaches cluster IPs and is masqueraded as not being a pod") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA}));
  const ServiceSpec remote{.name = "remote", .cluster_ips = {"10.96.0.11"}};
  manifests.put(remote, ready({kPodC}));
  Agent(lab.node, manifests).apply();

  const auto local = ask(lab.node, Transport::kTcp, "10.96.0.10", 80);
  INFO(local);
  CHECK(local.by == "pod-a");
  CHECK(local.source == kPodGateway);
  const auto across = ask(lab.node, Transport::kUdp, "10.96.0.10", 80);
  INFO(across);
  CHECK(across.by == "pod-a");
  const auto away = ask(lab.node, Transport::kTcp, "10.96.0.11", 80);
  INFO(away);
  CHECK(away.by == "pod-c");
  CHECK(away.source == kNode);
}

TEST_CASE("Off-cluster sources are masqueraded only when the node can tell them apart") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA}));

  SECTION("clusterCIDR names the pods") {
    Agent(lab.node, manifests).apply();
    CHECK(ask(lab.client, Transport::kTcp, "10.96.0.10", 80).source == kPodGateway);
  }
  SECTION("no local detector") {
    Agent(lab.node, manifests, "", false).apply();
    CHECK(ask(lab.client, Transport::kTcp, "10.96.0.10", 80).source == kClient);
  }
  SECTION("an interface prefix names the pods") {
    Agent(lab.node, manifests, "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: veth}\n",
          false)
        .apply();
    CHECK(ask(lab.client, Transport::kTcp, "10.96.0.10", 80).source == kPodGateway);
    CHECK(ask(lab.pod_b, Transport::kTcp, "10.96.0.10", 80).source == kPodB);
  }
}

TEST_CASE("masqueradeAll hides pods too") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodB}));
  Agent(lab.node, manifests, "iptables: {masqueradeAll: true}\n").apply();

  const auto outcome = ask(lab.pod_a, Transport::kTcp, "10.96.0.10", 80);
  INFO(outcome);
  CHECK(outcome.by == "pod-b");
  CHECK(outcome.source == kPodGateway);
}

TEST_CASE("A service without endpoints refuses at once") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  SECTION("an empty slice") {
    manifests.put(kWeb, std::vector<EndpointSpec>{});
  }
  SECTION("no slice at all") {
    manifests.put(kWeb);
  }
  SECTION("nothing but endpoints that are not ready") {
    manifests.put(kWeb, {{.address = kPodA, .ready = false}});
  }
  Agent(lab.node, manifests).apply();

  for (const auto* from : {&lab.pod_b, &lab.node, &lab.client}) {
    for (const auto transport : {Transport::kTcp, Transport::kUdp}) {
      const auto outcome = ask(*from, transport, "10.96.0.10", 80);
      INFO(outcome);
      CHECK(outcome.refused());
    }
  }
}

TEST_CASE("A port that the service does not have is not answered") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodB}));
  Agent(lab.node, manifests).apply();

  REQUIRE(ask(lab.pod_a, Transport::kTcp, "10.96.0.10", 80).answered());
  // kube-proxy refuses it in nftables mode, where it knows which addresses are cluster IPs.
  if (in_nftables_mode()) {
    CHECK(ask(lab.pod_a, Transport::kTcp, "10.96.0.10", 8080).refused());
  } else {
    CHECK(is_silent(lab.pod_a, Transport::kTcp, "10.96.0.10", 8080));
  }
  CHECK(is_silent(lab.pod_a, Transport::kTcp, "10.96.0.99", 80));
}

TEST_CASE("TCP and UDP on one port go their own ways") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const ServiceSpec dns{
      .name = "dns",
      .cluster_ips = {"10.96.0.53"},
      .ports = {PortSpec{.name = "udp", .protocol = "UDP", .port = 53, .target = 8080},
                PortSpec{.name = "tcp", .protocol = "TCP", .port = 53, .target = 9090}},
  };
  manifests.put(dns, ready({kPodB}));
  Agent(lab.node, manifests).apply();

  CHECK(ask(lab.pod_a, Transport::kUdp, "10.96.0.53", 53).at == 8080);
  CHECK(ask(lab.pod_a, Transport::kTcp, "10.96.0.53", 53).at == 9090);
}

TEST_CASE("SCTP reaches cluster IPs of both families and NodePorts", "[short]") {
  KUBENATD_NEEDS_NAMESPACES();
  KUBENATD_NEEDS_SCTP();
  const Lab lab;
  const Manifests manifests;
  const ServiceSpec service{.name = "sctp",
                            .cluster_ips = {"10.96.0.12", "fd00:10:96::12"},
                            .ports = {PortSpec{.name = "sctp", .protocol = "SCTP", .node_port = 30082}},
                            .type = "NodePort"};
  manifests.put(service, ready({kPodB, kPodB6}));
  Agent(lab.node, manifests).apply();

  const auto four = ask(lab.pod_a, Transport::kSctp, "10.96.0.12", 80);
  INFO(four);
  CHECK(four.by == "pod-b");
  CHECK(four.source == kPodA);
  const auto six = ask(lab.pod_a, Transport::kSctp, "fd00:10:96::12", 80);
  INFO(six);
  CHECK(six.by == "pod-b");
  CHECK(six.source == kPodA6);
  const auto outside = ask(lab.client, Transport::kSctp, kNode, 30082);
  INFO(outside);
  CHECK(outside.by == "pod-b");
  CHECK(outside.source == kPodGateway);
}

TEST_CASE("internalTrafficPolicy Local uses endpoints of this node alone") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  ServiceSpec service = kWeb;
  service.internal_policy = "Local";

  SECTION("one here, one elsewhere") {
    manifests.put(service, ready({kPodB, kPodC}));
    Agent(lab.node, manifests).apply();
    for (int i = 0; i < 20; ++i) CHECK(ask(lab.pod_a, Transport::kTcp, "10.96.0.10", 80).by == "pod-b");
  }
  SECTION("only elsewhere: dropped") {
    manifests.put(service, ready({kPodC}));
    Agent(lab.node, manifests).apply();
    CHECK(is_silent(lab.pod_a, Transport::kTcp, "10.96.0.10", 80));
    CHECK(is_silent(lab.node, Transport::kUdp, "10.96.0.10", 80));
  }
  SECTION("nowhere: refused") {
    manifests.put(service, std::vector<EndpointSpec>{});
    Agent(lab.node, manifests).apply();
    CHECK(ask(lab.pod_a, Transport::kTcp, "10.96.0.10", 80).refused());
  }
}

TEST_CASE("Terminating endpoints serve when no other is left") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;

  SECTION("the last one is terminating") {
    manifests.put(kWeb, {{.address = kPodB, .terminating = true}, {.address = kPodC, .ready = false}});
    Agent(lab.node, manifests).apply();
    for (int i = 0; i < 10; ++i) CHECK(ask(lab.pod_a, Transport::kTcp, "10.96.0.10", 80).by == "pod-b");
  }
  SECTION("a ready one takes all") {
    manifests.put(kWeb, {{.address = kPodB, .terminating = true}, {.address = kPodC}});
    Agent(lab.node, manifests).apply();
    for (int i = 0; i < 20; ++i) CHECK(ask(lab.pod_a, Transport::kTcp, "10.96.0.10", 80).by == "pod-c");
  }
}

}  // namespace
}  // namespace kubenatd::test
