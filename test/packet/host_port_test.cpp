#include <catch2/catch.hpp>

#include <fmt/format.h>

#include "test/support/cluster.h"
#include "test/support/lab.h"

/// The way from a port of the node to a pod: who answers, and whom it sees.
namespace kubenatd::test {
namespace {

/// pod-a with 8080 of TCP and UDP on every address, and 8443 on the node's own IPv4 address.
std::string pod_with_ports(const std::string& address, const std::string& address6) {
  return fmt::format(
      "apiVersion: v1\nkind: Pod\nmetadata: {{name: controller, namespace: demo}}\n"
      "spec:\n  nodeName: node-1\n  containers:\n  - name: c\n    ports:\n"
      "    - {{containerPort: 8080, hostPort: 80}}\n"
      "    - {{containerPort: 8080, hostPort: 80, protocol: UDP}}\n"
      "    - {{containerPort: 9090, hostPort: 443, hostIP: {}}}\n"
      "status: {{phase: Running, podIPs: [{{ip: {}}}, {{ip: \"{}\"}}]}}\n",
      kNode, address, address6);
}

void check_answer(const Outcome& outcome, const std::string& by, const std::string& source, int at = 8080) {
  INFO(outcome);
  CHECK(outcome.by == by);
  CHECK(outcome.at == at);
  CHECK(outcome.source == source);
}

TEST_CASE("a host port leads to its pod from everywhere") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.write("controller.yaml", pod_with_ports(kPodA, kPodA6));
  const Agent agent(lab.node, manifests);
  agent.apply();

  for (const auto transport : {Transport::kTcp, Transport::kUdp}) {
    INFO((transport == Transport::kTcp ? "TCP" : "UDP"));
    // From outside and from another pod the pod sees who asks.
    check_answer(ask(lab.client, transport, kNode, 80), "pod-a", kClient);
    check_answer(ask(lab.client, transport, kNode6, 80), "pod-a", kClient6);
    check_answer(ask(lab.pod_b, transport, kNode, 80), "pod-a", kPodB);
    // The node itself, by its address and by localhost, which has to be masqueraded.
    check_answer(ask(lab.node, transport, kNode, 80), "pod-a", kNode);
    check_answer(ask(lab.node, transport, kNode6, 80), "pod-a", kNode6);
    check_answer(ask(lab.node, transport, "127.0.0.1", 80), "pod-a", kPodGateway);
    // The pod itself: the answer has to come back the same way.
    check_answer(ask(lab.pod_a, transport, kNode, 80), "pod-a", kPodGateway);
    check_answer(ask(lab.pod_a, transport, kNode6, 80), "pod-a", kPodGateway6);
  }
  check_answer(ask(lab.client, Transport::kTcp, kNode, 443), "pod-a", kClient, 9090);
  CHECK(ask(lab.node, Transport::kTcp, "127.0.0.1", 443).refused());
  CHECK(ask(lab.client, Transport::kTcp, kNode6, 443).refused());
  CHECK(ask(lab.client, Transport::kTcp, kNode, 81).refused());
}

TEST_CASE("host ports answer on localhost where NodePorts do not") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.write("controller.yaml", pod_with_ports(kPodA, kPodA6));
  const Agent agent(lab.node, manifests, "iptables: {localhostNodePorts: false}\n");
  agent.apply();
  check_answer(ask(lab.node, Transport::kTcp, "127.0.0.1", 80), "pod-a", kPodGateway);
  const auto route_localnet = [&](const std::string& interface) {
    return lines_of(must_run_in(lab.node, {"cat", "/proc/sys/net/ipv4/conf/" + interface + "/route_localnet"})).front();
  };
  CHECK(route_localnet("vetha") == "1");
  CHECK(route_localnet("vethb") == "0");
  CHECK(route_localnet("eth0") == "0");
  CHECK(route_localnet("all") == "0");
}

TEST_CASE("a Service's port comes before a host port of the same number") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.write("controller.yaml", pod_with_ports(kPodA, kPodA6));
  const ServiceSpec service{.name = "web",
                            .cluster_ips = {"10.96.0.10"},
                            .ports = {PortSpec{.name = "http", .port = 8000, .target = 8080, .node_port = 80}},
                            .type = "NodePort"};
  manifests.put(service, ready({kPodB}));
  const Agent agent(lab.node, manifests);
  agent.apply();
  CHECK(ask(lab.client, Transport::kTcp, kNode, 80).by == "pod-b");
  CHECK(ask(lab.client, Transport::kUdp, kNode, 80).by == "pod-a");
}

TEST_CASE("UDP flows follow a host port to its new pod, and leave with it") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  must_run_in(lab.node, {"ip", "route", "add", "local", "203.0.113.128/28", "dev", "lo"});
  must_run_in(lab.client, {"ip", "route", "replace", "203.0.113.128/28", "via", kNode});
  const Manifests manifests;
  const Agent agent(lab.node, manifests);
  agent.apply();
  const auto daemon = agent.start();
  Conversation outside(lab.client, Transport::kUdp, kNode, 80);
  Conversation by_route(lab.client, Transport::kUdp, "203.0.113.130", 80);
  Conversation outside6(lab.client, Transport::kUdp, kNode6, 80);
  Conversation inside(lab.node, Transport::kUdp, kNode, 80);
  const auto all_at = [&](const std::string& by) {
    for (Conversation* flow : {&outside, &by_route, &outside6, &inside}) {
      Outcome last;
      const bool there = eventually([&] { return (last = flow->ask(kSilenceTime)).by == by; });
      INFO(by << ": " << last);
      CHECK(there);
    }
  };
  // Each flow has an entry from before there was a host port.
  for (Conversation* flow : {&outside, &by_route, &outside6, &inside}) CHECK(flow->ask(kSilenceTime).refused());
  manifests.write("controller.yaml", pod_with_ports(kPodA, kPodA6));
  all_at("pod-a");
  manifests.write("controller.yaml", pod_with_ports(kPodB, kPodB6));
  all_at("pod-b");
  manifests.remove("controller.yaml");
  for (Conversation* flow : {&outside, &by_route, &outside6, &inside})
    CHECK(eventually([&] { return flow->ask(kSilenceTime).refused(); }));
}

}  // namespace
}  // namespace kubenatd::test
