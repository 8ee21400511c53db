#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <utility>

#include "test/packet/node_ports.h"
#include "test/support/cluster.h"
#include "test/support/lab.h"

namespace kubenatd::test {
namespace {

TEST_CASE("A NodePort answers on the node's 127.0.0.1 unless that is switched off", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(node_port_service(), ready({kPodA}));

  SECTION("on") {
    Agent(lab.node, manifests).apply();
    CHECK(get_sysctl(lab.node, "net/ipv4/conf/all/route_localnet") == "1");
    CHECK(ask(lab.node, Transport::kTcp, "127.0.0.1", 30080).by == "pod-a");
    CHECK(ask(lab.node, Transport::kUdp, "127.0.0.1", 30081).by == "pod-a");
  }
  SECTION("off") {
    set_sysctl(lab.node, "net/ipv4/conf/all/route_localnet", "0");
    Agent(lab.node, manifests, "iptables: {localhostNodePorts: false}\n").apply();
    CHECK(get_sysctl(lab.node, "net/ipv4/conf/all/route_localnet") == "0");
    CHECK(ask(lab.node, Transport::kTcp, "127.0.0.1", 30080).refused());
    CHECK(ask(lab.node, Transport::kTcp, kNode, 30080).by == "pod-a");
  }
}

/// A lab in which a neighbour sends packets for 127.0.0.1 to the node, which takes them from the wire; on port 7000
/// there a program listens.
struct NeighbourOfLocalhost {
  const Lab lab;
  const Manifests manifests;
  const EchoServer secret{lab.node, "secret", {7000}, "127.0.0.1"};

  NeighbourOfLocalhost() {
    manifests.put(node_port_service(), ready({kPodA}));
    must_run_in(lab.client, {"ip", "addr", "flush", "dev", "lo"});
    set_sysctl(lab.client, "net/ipv4/conf/all/route_localnet", "1");
    must_run_in(lab.client, {"ip", "route", "add", "127.0.0.1/32", "via", kNode, "src", kClient});
    set_sysctl(lab.node, "net/ipv4/conf/all/route_localnet", "1");
    // Without kubenatd's guard it gets through, so silence later means something.
    const auto unguarded = ask(lab.client, Transport::kTcp, "127.0.0.1", 7000);
    INFO(unguarded);
    REQUIRE(unguarded.by == "secret");
  }
};

TEST_CASE("A NodePort answers on the node's 127.0.0.1 where nodePortAddresses names localhost") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(node_port_service(), ready({kPodA}));
  const ServiceSpec here{.name = "here",
                         .cluster_ips = {"10.96.2.1"},
                         .ports = {PortSpec{.node_port = 30090}},
                         .type = "LoadBalancer",
                         .external_policy = "Local",
                         .ingress = {{"203.0.113.10"}}};
  manifests.put(here, ready({kPodC}));  // on another node
  ServiceSpec idle = node_port_service();
  idle.name = "idle";
  idle.cluster_ips = {"10.96.1.9"};
  idle.ports = {PortSpec{.node_port = 30089}};
  manifests.put(idle, ready({}));

  const std::string addresses = GENERATE("[primary, localhost]", "[127.0.0.1/32]", "[all, 127.0.0.0/8]");
  INFO(addresses);
  Agent(lab.node, manifests, "nodePortAddresses: " + addresses + "\n").apply();
  CHECK(get_sysctl(lab.node, "net/ipv4/conf/all/route_localnet") == "1");
  for (const auto& [transport, port] : {std::pair{Transport::kTcp, 30080}, std::pair{Transport::kUdp, 30081}}) {
    const auto outcome = ask(lab.node, transport, "127.0.0.1", static_cast<std::uint16_t>(port));
    INFO(outcome);
    CHECK(outcome.by == "pod-a");
    CHECK(outcome.source == kPodGateway);
  }
  // The node itself reaches endpoints on all nodes.
  CHECK(ask(lab.node, Transport::kTcp, "127.0.0.1", 30090).by == "pod-c");
  CHECK(ask(lab.node, Transport::kTcp, "127.0.0.1", 30089).refused());
  CHECK(ask(lab.node, Transport::kTcp, "127.0.0.1", 30079).refused());
  const bool elsewhere = addresses != "[127.0.0.1/32]";
  CHECK(ask(lab.client, Transport::kTcp, kNode, 30080).answered() == elsewhere);
}

TEST_CASE("An SCTP NodePort answers on the node's 127.0.0.1 where nodePortAddresses names localhost") {
  KUBENATD_NEEDS_NAMESPACES();
  KUBENATD_NEEDS_SCTP();
  const Lab lab;
  const Manifests manifests;
  ServiceSpec service = node_port_service();
  service.ports = {PortSpec{.name = "sctp", .protocol = "SCTP", .node_port = 30082}};
  manifests.put(service, ready({kPodA}));
  Agent(lab.node, manifests, "nodePortAddresses: [primary, localhost]\n").apply();
  const auto outcome = ask(lab.node, Transport::kSctp, "127.0.0.1", 30082);
  INFO(outcome);
  CHECK(outcome.by == "pod-a");
  CHECK(outcome.source == kPodGateway);
}

TEST_CASE("In nftables mode a neighbour reaches neither what listens on the node's 127.0.0.1 nor NodePorts there",
          "[nftables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const NeighbourOfLocalhost scene;
  const auto& [lab, manifests, secret] = scene;

  // Also where NodePorts do not answer there: the setting may be left from before.
  const bool localhost = GENERATE(true, false);
  Agent(lab.node, manifests, nftables_mode() + (localhost ? "nodePortAddresses: [localhost]\n" : "")).apply();
  CHECK(is_silent(lab.client, Transport::kTcp, "127.0.0.1", 7000));
  CHECK(is_silent(lab.client, Transport::kUdp, "127.0.0.1", 7000));
  CHECK(is_silent(lab.client, Transport::kTcp, "127.0.0.1", 30080));
  CHECK(is_silent(lab.client, Transport::kUdp, "127.0.0.1", 30081));
  CHECK(ask(lab.node, Transport::kTcp, "127.0.0.1", 7000).by == "secret");
  CHECK(ask(lab.node, Transport::kTcp, "127.0.0.1", 30080).answered() == localhost);
  // A datagram with the forged source 127.0.0.2, which no kernel that routes 127.0.0.0/8 refuses by itself.
  if (!localhost) return;
  must_run_in(lab.client, {"ip", "addr", "add", "127.0.0.2/32", "dev", "lo"});
  must_run_in(lab.client, {"ip", "route", "replace", "127.0.0.1/32", "via", kNode, "src", "127.0.0.2"});
  set_sysctl(lab.node, "net/ipv4/conf/all/rp_filter", "0");
  (void)ask(lab.client, Transport::kUdp, "127.0.0.1", 30081, kSilenceTime);
  CHECK(must_run_in(lab.node, {"conntrack", "-L", "-p", "udp"}).find("src=127.0.0.2") == std::string::npos);
}

TEST_CASE("What belongs to no connection reaches localhost no more than what does", "[nftables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const NeighbourOfLocalhost scene;
  const auto& [lab, manifests, secret] = scene;
  must_run_in(lab.node, {"nft",
                         "add table ip theirs { chain raw { type filter hook prerouting priority raw; "
                         "udp dport 7000 notrack; }; chain out { type filter hook output priority raw; "
                         "udp sport 7000 notrack; }; }"});
  REQUIRE(ask(lab.client, Transport::kUdp, "127.0.0.1", 7000).by == "secret");
  const bool localhost = GENERATE(true, false);
  Agent(lab.node, manifests, nftables_mode() + (localhost ? "nodePortAddresses: [localhost]\n" : "")).apply();
  CHECK(is_silent(lab.client, Transport::kUdp, "127.0.0.1", 7000));
  CHECK(ask(lab.node, Transport::kUdp, "127.0.0.1", 7000).by == "secret");
}

TEST_CASE("Nobody's translation of localhost is reached by a neighbour", "[nftables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const NeighbourOfLocalhost scene;
  const auto& [lab, manifests, secret] = scene;
  // As a portmap plugin serves a hostPort: in a chain of the same place that was there before.
  must_run_in(lab.node, {"nft", fmt::format("add table ip theirs {{ chain nat {{ type nat hook prerouting priority "
                                            "dstnat; ip daddr 127.0.0.1 tcp dport 7010 dnat to {}:8080; }}; }}",
                                            kPodA)});
  REQUIRE(ask(lab.client, Transport::kTcp, "127.0.0.1", 7010).by == "pod-a");
  Agent(lab.node, manifests, nftables_mode()).apply();
  CHECK(is_silent(lab.client, Transport::kTcp, "127.0.0.1", 7010));
  // What others translate to localhost is theirs.
  must_run_in(lab.node,
              {"nft", fmt::format("add rule ip theirs nat ip daddr {} tcp dport 7011 dnat to 127.0.0.1:7000", kNode)});
  CHECK(ask(lab.client, Transport::kTcp, kNode, 7011).by == "secret");
}

TEST_CASE("NodePorts on localhost go on when the mode changes", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const NeighbourOfLocalhost scene;
  const auto& [lab, manifests, secret] = scene;
  const std::string addresses = "nodePortAddresses: [primary, localhost]\n";
  const Agent chains(lab.node, manifests, addresses);
  const Agent elements(lab.node, manifests, "mode: nftables\n" + addresses);
  for (const Agent* agent : {&chains, &elements, &chains}) {
    agent->apply();
    CHECK(get_sysctl(lab.node, "net/ipv4/conf/all/route_localnet") == "1");
    CHECK(ask(lab.node, Transport::kTcp, "127.0.0.1", 30080).by == "pod-a");
    CHECK(is_silent(lab.client, Transport::kTcp, "127.0.0.1", 7000));
  }
}

TEST_CASE("A neighbour cannot reach what listens on the node's 127.0.0.1", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const NeighbourOfLocalhost scene;
  const auto& [lab, manifests, secret] = scene;

  Agent(lab.node, manifests).apply();
  CHECK(is_silent(lab.client, Transport::kTcp, "127.0.0.1", 7000));
  CHECK(is_silent(lab.client, Transport::kUdp, "127.0.0.1", 7000));
  CHECK(ask(lab.node, Transport::kTcp, "127.0.0.1", 7000).by == "secret");
}

}  // namespace
}  // namespace kubenatd::test
