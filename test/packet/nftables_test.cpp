#include <catch2/catch.hpp>
#include <cstdio>
#include <map>

#include "test/support/cluster.h"
#include "test/support/lab.h"

/// What is nftables mode's own, or about both modes on one node.
namespace kubenatd::test {
namespace {

const ServiceSpec kWeb{
    .name = "web",
    .cluster_ips = {"10.96.0.10"},
    .ports = {PortSpec{.node_port = 30080}, PortSpec{.name = "udp", .protocol = "UDP"}},
    .type = "NodePort",
};

TEST_CASE("Switching modes keeps open connections and takes new ones", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA}));
  const Agent chains(lab.node, manifests);
  const Agent elements(lab.node, manifests, "mode: nftables\n");
  chains.apply();
  Conversation from_pod(lab.pod_b, Transport::kTcp, "10.96.0.10", 80);
  Conversation from_client(lab.client, Transport::kTcp, kNode, 30080);
  Conversation datagrams(lab.pod_b, Transport::kUdp, "10.96.0.10", 80);
  const auto check_all = [&] {
    CHECK(from_pod.ask().by == "pod-a");
    CHECK(from_client.ask().by == "pod-a");
    CHECK(datagrams.ask().by == "pod-a");
    CHECK(ask(lab.pod_b, Transport::kTcp, "10.96.0.10", 80).by == "pod-a");
    CHECK(ask(lab.client, Transport::kTcp, kNode, 30080).source == kPodGateway);
  };
  check_all();
  elements.apply();
  CHECK_FALSE(has_rule(lab.node, "KUBE-SERVICES"));
  check_all();
  chains.apply();
  CHECK(must_run_in(lab.node, {"nft", "list", "tables"}).find("kubenatd") == std::string::npos);
  check_all();
}

TEST_CASE("Cluster IPs that no Service has are dropped where the range is known", "[nftables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA}));
  Agent agent(lab.node, manifests, nftables_mode());
  agent.extra_arguments = {"--service-cidr", "10.96.0.0/16"};
  // A router behind the node that would refuse what gets through to it.
  must_run_in(lab.node, {"ip", "route", "add", "unreachable", "10.97.0.0/16"});
  must_run_in(lab.node, {"ip", "route", "add", "10.96.0.0/16", "via", kClient});
  REQUIRE(ask(lab.pod_b, Transport::kTcp, "10.96.0.99", 80, kSilenceTime).answered() == false);
  agent.apply();
  CHECK(is_silent(lab.pod_b, Transport::kTcp, "10.96.0.99", 80));
  CHECK(is_silent(lab.node, Transport::kUdp, "10.96.0.99", 80));
  CHECK(ask(lab.pod_b, Transport::kTcp, "10.96.0.10", 81).refused());
  CHECK(ask(lab.pod_b, Transport::kTcp, "10.96.0.10", 80).by == "pod-a");
}

TEST_CASE("Connections go to every one of seventeen endpoints, and evenly", "[nftables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  // Seventeen is the worst number: just past sixteen, of sixty-four numbers that are drawn from.
  std::vector<std::string> endpoints;
  for (int i = 100; i < 117; ++i) {
    endpoints.push_back("10.244.1." + std::to_string(i));
    must_run_in(lab.pod_a, {"ip", "addr", "add", endpoints.back() + "/32", "dev", "lo"});
    must_run_in(lab.node, {"ip", "route", "add", endpoints.back() + "/32", "via", kPodA, "dev", "vetha", "onlink"});
  }
  manifests.put(kWeb, ready(endpoints));
  Agent(lab.node, manifests, nftables_mode()).apply();
  std::map<std::string, int> counts;
  for (int i = 0; i < 850; ++i) REQUIRE(ask(lab.pod_b, Transport::kTcp, "10.96.0.10", 80).by == "pod-a");
  const std::string flows = must_run_in(lab.node, {"conntrack", "-L", "-p", "tcp", "-d", "10.96.0.10"});
  for (const auto& line : lines_of(flows))
    for (const auto& endpoint : endpoints)
      if (line.find("src=" + endpoint + " ") != std::string::npos) ++counts[endpoint];
  CHECK(counts.size() == endpoints.size());
  // Mean 50, standard deviation 6.9: beyond 5.5 deviations once in 10^6 runs.
  for (const auto& [endpoint, count] : counts) {
    INFO(endpoint << ": " << count);
    CHECK(count > 12);
    CHECK(count < 88);
  }
}

TEST_CASE("Two first packets of one UDP socket go to one endpoint, in both families", "[nftables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  ServiceSpec web = kWeb;
  web.cluster_ips = {"10.96.0.10", "fd00:10:96::10"};
  manifests.put(web, ready({kPodA, kPodB, kPodC, kPodA6, kPodB6, kPodC6}));
  Agent(lab.node, manifests, nftables_mode()).apply();
  for (const auto& address : web.cluster_ips) {
    INFO(address);
    std::map<std::string, int> counts;
    // Without its connection the second packet is a first one, too, as where two come at once. Drawn anew, it would be
    // the same endpoint twenty times with a probability of 3e-10.
    for (int i = 0; i < 20; ++i) {
      Conversation resolver(lab.client, Transport::kUdp, address, 80);
      const Outcome first = resolver.ask();
      INFO(first);
      REQUIRE(first.answered());
      must_run_in(lab.node, {"conntrack", "-D", "-p", "udp", "-d", address});
      const Outcome second = resolver.ask();
      INFO(second);
      CHECK(second.by == first.by);
      ++counts[first.by];
    }
    CHECK(counts.size() > 1);
  }
}

TEST_CASE("After nft has loaded its listing packets go the same ways", "[nftables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  ServiceSpec web = kWeb;
  web.affinity_seconds = 60;
  web.cluster_ips = {"10.96.0.10", "fd00:10:96::10"};
  manifests.put(web, ready({kPodA, kPodB, kPodC, kPodA6, kPodB6, kPodC6}));
  ServiceSpec idle = kWeb;
  idle.name = "idle";
  idle.cluster_ips = {"10.96.0.11"};
  idle.ports = {PortSpec{}};
  idle.type = "ClusterIP";
  manifests.put(idle, ready({}));
  Agent(lab.node, manifests, nftables_mode()).apply();
  const std::string kept = ask(lab.client, Transport::kTcp, "10.96.0.10", 80).by;
  const std::string kept6 = ask(lab.client, Transport::kTcp, "fd00:10:96::10", 80).by;
  const std::string listed = must_run_in(lab.node, {"nft", "list", "ruleset"});
  must_run_in(lab.node, {"nft", "flush", "ruleset"});
  must_run_in(lab.node, {"nft", "-f", "-"}, listed);
  // Clients that were remembered still are, others become so: by the rules that nft has written.
  for (int i = 0; i < 8; ++i) CHECK(ask(lab.client, Transport::kTcp, kNode, 30080).by == kept);
  for (int i = 0; i < 8; ++i) CHECK(ask(lab.client, Transport::kTcp, "fd00:10:96::10", 80).by == kept6);
  const std::string other = ask(lab.pod_b, Transport::kTcp, "10.96.0.10", 80).by;
  for (int i = 0; i < 8; ++i) CHECK(ask(lab.pod_b, Transport::kTcp, "10.96.0.10", 80).by == other);
  const std::string other6 = ask(lab.pod_b, Transport::kTcp, "fd00:10:96::10", 80).by;
  for (int i = 0; i < 8; ++i) CHECK(ask(lab.pod_b, Transport::kTcp, "fd00:10:96::10", 80).by == other6);
  CHECK(ask(lab.client, Transport::kUdp, "10.96.0.10", 80).answered());
  CHECK(ask(lab.client, Transport::kTcp, "10.96.0.11", 80).refused());
}

}  // namespace
}  // namespace kubenatd::test
