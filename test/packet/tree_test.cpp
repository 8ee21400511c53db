#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "test/support/cluster.h"
#include "test/support/lab.h"

/// The tree form of KUBE-SERVICES: other rules, the same verdicts.
namespace kubenatd::test {
namespace {

/// Services of every kind among many that only fill the tree. Each question below has one possible answer.
void put_services(const Manifests& manifests) {
  for (int i = 0; i < 60; ++i) {
    const auto octet = std::to_string(i * 4);
    const ServiceSpec filler{
        .name = fmt::format("filler{}", i),
        .cluster_ips = {"10.96." + octet + ".77", "fd00:10:96::f:" + octet},
        .ports = {PortSpec{}, PortSpec{.name = "udp", .protocol = "UDP"}, PortSpec{.name = "more", .port = 81}}};
    manifests.put(filler, ready({kPodB, kPodB6}));
  }
  manifests.put({.name = "web", .cluster_ips = {"10.96.0.10", "fd00:10:96::10"}}, ready({kPodA, kPodA6}));
  manifests.put({.name = "dead", .cluster_ips = {"10.96.0.11", "fd00:10:96::11"}}, std::vector<EndpointSpec>{});
  manifests.put({.name = "np",
                 .cluster_ips = {"10.96.1.1"},
                 .ports = {PortSpec{.node_port = 30080}},
                 .type = "NodePort",
                 .external_policy = "Local"},
                ready({kPodA, kPodC}));
  manifests.put({.name = "lb",
                 .cluster_ips = {"10.96.2.1"},
                 .ports = {PortSpec{.node_port = 30090}},
                 .type = "LoadBalancer",
                 .external_ips = {"198.51.100.7"},
                 .ingress = {{"203.0.113.10"}},
                 .source_ranges = {"192.168.77.64/26"}},
                ready({kPodC}));
  manifests.put({.name = "far", .cluster_ips = {"10.96.9.9"}, .internal_policy = "Local"}, ready({kPodC}));
  // A LoadBalancer IP that is an address of the node: service dispatch must come before NodePorts.
  manifests.put({.name = "own",
                 .cluster_ips = {"10.96.3.1"},
                 .ports = {PortSpec{.port = 30080, .node_port = 30091}},
                 .type = "LoadBalancer",
                 .ingress = {{"10.244.1.1"}}},
                ready({kPodB}));
}

std::vector<std::string> verdicts(const Lab& lab) {
  struct Question {
    const char* name;
    const Namespace* from;
    Transport transport;
    const char* address;
    std::uint16_t port;
  };
  const std::vector<Question> questions{
      {"cluster IP from a pod", &lab.pod_b, Transport::kTcp, "10.96.0.10", 80},
      {"cluster IP from outside", &lab.client, Transport::kTcp, "10.96.0.10", 80},
      {"cluster IP from the node", &lab.node, Transport::kTcp, "10.96.0.10", 80},
      {"hairpin", &lab.pod_a, Transport::kTcp, "10.96.0.10", 80},
      {"IPv6", &lab.pod_b, Transport::kTcp, "fd00:10:96::10", 80},
      {"IPv6 filler", &lab.pod_a, Transport::kUdp, "fd00:10:96::f:236", 80},
      {"first filler", &lab.pod_a, Transport::kTcp, "10.96.0.77", 81},
      {"last filler", &lab.pod_a, Transport::kUdp, "10.96.236.77", 80},
      {"no endpoints", &lab.pod_b, Transport::kTcp, "10.96.0.11", 80},
      {"no endpoints IPv6", &lab.pod_b, Transport::kTcp, "fd00:10:96::11", 80},
      {"NodePort Local", &lab.client, Transport::kTcp, kNode, 30080},
      {"NodePort on localhost", &lab.node, Transport::kTcp, "127.0.0.1", 30090},
      {"NodePort of the balanced", &lab.client, Transport::kTcp, kNode, 30090},
      {"external IP", &lab.pod_a, Transport::kTcp, "198.51.100.7", 80},
      {"LoadBalancer IP allowed", &lab.client, Transport::kTcp, "203.0.113.10", 80},
      {"LoadBalancer IP denied", &lab.pod_b, Transport::kTcp, "203.0.113.10", 80},
      {"internal Local elsewhere", &lab.pod_a, Transport::kTcp, "10.96.9.9", 80},
      {"LoadBalancer IP of the node", &lab.pod_a, Transport::kTcp, "10.244.1.1", 30080},
      {"unknown port", &lab.pod_a, Transport::kTcp, "10.96.0.10", 82},
      {"unknown address", &lab.pod_a, Transport::kTcp, "10.96.0.78", 80},
  };
  std::vector<std::string> result;
  for (const auto& question : questions) {
    const auto outcome =
        ask(*question.from, question.transport, question.address, question.port, std::chrono::seconds(2));
    std::string verdict = outcome.refused() ? "refused" : outcome.dropped() ? "dropped" : outcome.by;
    if (outcome.answered()) verdict += " sees " + outcome.source;
    result.push_back(std::string(question.name) + ": " + verdict);
  }
  return result;
}

TEST_CASE("The tree form gives the verdicts of the linear form", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  put_services(manifests);

  Agent agent(lab.node, manifests);
  agent.extra_arguments = {"--dispatch", "linear"};
  agent.apply();
  const auto linear_rules = saved_rules(lab.node);
  const auto linear = verdicts(lab);
  CHECK(linear.front() == "cluster IP from a pod: pod-a sees 10.244.1.6");

  agent.extra_arguments = {"--dispatch", "tree"};
  agent.apply();
  const auto tree_rules = saved_rules(lab.node);
  CHECK_FALSE(tree_rules == linear_rules);
  CHECK(verdicts(lab) == linear);

  agent.extra_arguments = {"--dispatch", "linear"};
  agent.apply();
  CHECK(changed_lines(linear_rules, saved_rules(lab.node)) == "");
}

TEST_CASE("The tree keeps the NodePort jump last and follows changes", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  put_services(manifests);
  Agent agent(lab.node, manifests);
  agent.extra_arguments = {"--dispatch", "tree"};
  agent.apply();

  std::string last;
  for (const auto& line : lines_of(must_run_in(lab.node, {"iptables", "-t", "nat", "-S", "KUBE-SERVICES"})))
    last = line;
  INFO(last);
  CHECK(last.ends_with("-j KUBE-NODEPORTS"));

  const auto daemon = agent.start();
  const ServiceSpec late{.name = "late", .cluster_ips = {"10.96.0.12"}};
  manifests.put(late, ready({kPodC}));
  CHECK(eventually([&] { return ask(lab.pod_a, Transport::kTcp, "10.96.0.12", 80, kSilenceTime).by == "pod-c"; }));
  manifests.remove(late);
  CHECK(eventually([&] { return !has_rule(lab.node, "10.96.0.12"); }));
  CHECK(ask(lab.pod_b, Transport::kTcp, "10.96.0.10", 80).by == "pod-a");
}

}  // namespace
}  // namespace kubenatd::test
