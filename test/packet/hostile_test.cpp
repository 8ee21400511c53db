#include <catch2/catch.hpp>

#include <fmt/format.h>

#include <functional>
#include <future>
#include <string>
#include <vector>

#include "test/support/cluster.h"
#include "test/support/lab.h"

/// What somebody who may write Services, EndpointSlices or Pods cannot have, and what is still given.
/// agent/SECURITY.md names these tests.
namespace kubenatd::test {
namespace {

constexpr const char* kApiAddress = "10.96.0.1";
constexpr const char* kOtherNode = "192.168.77.3";
constexpr const char* kThiefsAddress = "10.96.6.6";

/// The Service of the API server and where that answers: on node-2, or nowhere.
void write_api_server(const Manifests& manifests, bool is_there = true) {
  manifests.write(
      "kubernetes.yaml",
      fmt::format("apiVersion: v1\nkind: Service\nmetadata: {{name: kubernetes, namespace: default}}\n"
                  "spec: {{clusterIP: {}, ports: [{{name: https, port: 443, targetPort: 6443}}]}}\n"
                  "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: kubernetes, "
                  "namespace: default, labels: {{kubernetes.io/service-name: kubernetes}}}}\n"
                  "addressType: IPv4\nports: [{{name: https, port: 6443}}]\nendpoints: [{}]\n",
                  kApiAddress, is_there ? fmt::format("{{addresses: [{}]}}", kOtherNode) : ""));
}

/// A Service that comes first by name and asks for other people's addresses, with pod-b as its endpoint.
void write_thief(const Manifests& manifests, const std::vector<int>& ports, const std::string& external_ips,
                 const std::string& load_balancer_ips = {}, bool node_ports = false) {
  std::string service_ports, slice_ports;
  for (const int port : ports) {
    service_ports += fmt::format("{}{{name: p{}, port: {}{}}}", service_ports.empty() ? "" : ", ", port, port,
                                 node_ports ? fmt::format(", nodePort: {}", port) : "");
    slice_ports += fmt::format("{}{{name: p{}, port: 8080}}", slice_ports.empty() ? "" : ", ", port);
  }
  std::string status;
  for (const std::string& address : lines_of(load_balancer_ips))
    status += fmt::format("{}{{ip: {}}}", status.empty() ? "" : ", ", address);
  manifests.write(
      "thief.yaml",
      fmt::format(
          "apiVersion: v1\nkind: Service\nmetadata: {{name: thief, namespace: attic}}\n"
          "spec: {{type: LoadBalancer, clusterIP: {}, externalIPs: [{}], ports: [{}]}}\n"
          "status: {{loadBalancer: {{ingress: [{}]}}}}\n"
          "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: thief, namespace: attic, "
          "labels: {{kubernetes.io/service-name: thief}}}}\naddressType: IPv4\nports: [{}]\n"
          "endpoints: [{{addresses: [{}]}}]\n",
          kThiefsAddress, external_ips, service_ports, status, slice_ports, kPodB));
}

std::string who(const Namespace& from, const char* address, std::uint16_t port) {
  const Outcome outcome = ask(from, Transport::kTcp, address, port);
  return outcome.answered() ? outcome.by : outcome.refused() ? "refused" : "nobody";
}

TEST_CASE("Nobody's Service takes the API server's cluster IP or the address at which it answers") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const EchoServer api(lab.node_2, "api", {6443});
  write_api_server(manifests);
  const bool balanced = GENERATE(false, true);
  const std::vector<int> ports{443, 6443, 80};
  if (balanced)
    write_thief(manifests, ports, "", fmt::format("{}\n{}\n203.0.113.9\n", kApiAddress, kOtherNode));
  else
    write_thief(manifests, ports, fmt::format("{}, {}, 203.0.113.9", kApiAddress, kOtherNode));
  const Agent agent(lab.node, manifests);
  const ProcessResult applied = agent.once();
  REQUIRE(applied.ok());
  const std::string kind = balanced ? "load balancer IP" : "external IP";
  CHECK(applied.err.find(fmt::format("Service attic/thief: {} {}:443/tcp is left out: it is the cluster IP of "
                                     "default/kubernetes",
                                     kind, kApiAddress)) != std::string::npos);
  // What nobody serves is waited for in full, and so all at once.
  std::vector<std::future<std::string>> other_ports;
  for (const auto* from : {&lab.pod_a, &lab.node})
    for (const std::uint16_t port : {std::uint16_t{6443}, std::uint16_t{80}})
      other_ports.push_back(std::async(std::launch::async, who, std::cref(*from), kApiAddress, port));
  for (const auto* from : {&lab.pod_a, &lab.node}) {
    CHECK(who(*from, kApiAddress, 443) == "api");
    CHECK(who(*from, kOtherNode, 6443) == "api");
    // What nobody else has is given: by policy this may be restricted.
    CHECK(who(*from, "203.0.113.9", 443) == "pod-b");
    CHECK(who(*from, kThiefsAddress, 443) == "pod-b");
  }
  for (auto& other : other_ports) CHECK(other.get() != "pod-b");

  // Not even while the API server has no endpoint.
  write_api_server(manifests, false);
  agent.apply();
  for (const auto* from : {&lab.pod_a, &lab.node}) CHECK(who(*from, kApiAddress, 443) == "refused");
}

TEST_CASE("Services leave the node its ports and may have its other ones") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const std::vector<std::uint16_t> held{22, 10249, 10250, 10256};
  const EchoServer node(lab.node, "node", {22, 80, 10249, 10250, 10256});
  const EchoServer other_kubelet(lab.node_2, "other-node", {10250});
  const std::vector<int> ports{22, 80, 8022, 10249, 10250, 10256};
  SECTION("external IPs") {
    write_thief(manifests, ports, fmt::format("{}, {}, {}", kNode, kPodGateway, kOtherNode));
    Agent(lab.node, manifests).apply();
    for (const std::uint16_t port : held) CHECK(who(lab.pod_a, kPodGateway, port) == "node");
    CHECK(who(lab.node, kOtherNode, 10250) == "other-node");
    CHECK(who(lab.pod_a, kOtherNode, 10250) == "other-node");
  }
  SECTION("load balancer addresses") {
    write_thief(manifests, ports, "", fmt::format("{}\n{}\n", kNode, kOtherNode));
    Agent(lab.node, manifests).apply();
    CHECK(who(lab.node, kOtherNode, 10250) == "other-node");
  }
  SECTION("NodePorts") {
    write_thief(manifests, ports, "", "", true);
    Agent(lab.node, manifests).apply();
  }
  SECTION("hostPorts") {
    std::string wanted;
    for (const int port : ports)
      wanted += fmt::format("{}{{containerPort: 8080, hostPort: {}}}", wanted.empty() ? "" : ", ", port);
    manifests.write("pod.yaml", fmt::format("apiVersion: v1\nkind: Pod\nmetadata: {{name: thief, namespace: attic}}\n"
                                            "spec: {{nodeName: node-1, containers: [{{name: c, ports: [{}]}}]}}\n"
                                            "status: {{phase: Running, podIPs: [{{ip: {}}}]}}\n",
                                            wanted, kPodB));
    Agent(lab.node, manifests).apply();
  }
  for (const auto* from : {&lab.client, &lab.pod_a}) {
    for (const std::uint16_t port : held) {
      INFO(port);
      CHECK(who(*from, kNode, port) == "node");
    }
    // As with kube-proxy: a controller's Service has the node's address on 80, whoever listens there.
    CHECK(who(*from, kNode, 80) == "pod-b");
    CHECK(who(*from, kNode, 8022) == "pod-b");
  }
}

TEST_CASE("A reserved port at which nobody listens may be had") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  write_thief(manifests, {22, 2222, 10250}, kNode);
  SECTION("nobody listens") {
    Agent(lab.node, manifests).apply();
    CHECK(who(lab.client, kNode, 22) == "pod-b");
    CHECK(who(lab.client, kNode, 10250) == "refused");  // the kubelet may be starting
  }
  SECTION("a server listens at another address of the node") {
    const EchoServer sshd(lab.node, "sshd", {22}, kPodGateway);
    Agent(lab.node, manifests).apply();
    CHECK(who(lab.client, kNode, 22) == "pod-b");
    CHECK(who(lab.pod_a, kPodGateway, 22) == "sshd");
  }
  SECTION("other ports are reserved") {
    const EchoServer sshd(lab.node, "sshd", {22, 2222});
    Agent agent(lab.node, manifests);
    agent.extra_arguments = {"--reserved-ports=2222,2222/udp"};
    agent.apply();
    CHECK(who(lab.client, kNode, 22) == "pod-b");
    CHECK(who(lab.client, kNode, 2222) == "sshd");
  }
}

TEST_CASE("External and load balancer addresses may be restricted to ranges") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  write_thief(manifests, {80}, "203.0.113.9, 198.51.100.9", "203.0.113.10\n198.51.100.10\n");
  Agent agent(lab.node, manifests);
  agent.extra_arguments = {"--external-ip-range=203.0.113.0/28", "--load-balancer-ip-range=198.51.100.0/28"};
  agent.apply();
  CHECK(who(lab.pod_a, "203.0.113.9", 80) == "pod-b");
  CHECK(who(lab.pod_a, "198.51.100.10", 80) == "pod-b");
  CHECK(is_silent(lab.pod_a, Transport::kTcp, "198.51.100.9", 80));
  CHECK(is_silent(lab.pod_a, Transport::kTcp, "203.0.113.10", 80));
}

TEST_CASE("An endpoint cannot be what listens on the node for itself") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const EchoServer secret(lab.node, "secret", {7000}, "127.0.0.1");
  const EchoServer metadata(lab.node, "metadata", {7000}, "127.0.0.2");
  set_sysctl(lab.node, "net/ipv4/conf/all/route_localnet", "1");
  // The status of a Pod is what a kubelet writes; the API server asks nothing of its address.
  manifests.write(
      "pod.yaml",
      fmt::format("apiVersion: v1\nkind: Service\nmetadata: {{name: trap, namespace: attic}}\n"
                  "spec: {{type: NodePort, clusterIP: {}, selector: {{app: trap}}, ports: [{{port: 80, "
                  "targetPort: 7000, nodePort: 30080}}]}}\n"
                  "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: trap, namespace: attic, labels: {{app: "
                  "trap}}}}\nspec: {{nodeName: node-1, containers: [{{name: c, ports: [{{containerPort: 7000, "
                  "hostPort: 7001}}]}}]}}\n"
                  "status: {{phase: Running, conditions: [{{type: Ready, status: \"True\"}}], podIPs: [{{ip: "
                  "127.0.0.1}}]}}\n",
                  kThiefsAddress));
  // One that the API server would not take.
  manifests.write(
      "slice.yaml",
      "apiVersion: v1\nkind: Service\nmetadata: {name: slice, namespace: attic}\n"
      "spec: {clusterIP: 10.96.6.7, ports: [{port: 80, targetPort: 7000}]}\n"
      "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: slice, namespace: attic, "
      "labels: {kubernetes.io/service-name: slice}}\naddressType: IPv4\nports: [{port: 7000}]\n"
      "endpoints: [{addresses: [127.0.0.2]}]\n");
  (void)Agent(lab.node, manifests).once();
  for (const auto* from : {&lab.client, &lab.pod_a}) {
    CHECK(who(*from, kThiefsAddress, 80) == "refused");
    CHECK(who(*from, kNode, 30080) == "refused");
    CHECK(who(*from, kNode, 7001) == "refused");
    CHECK(who(*from, "10.96.6.7", 80) == "refused");
  }
  CHECK(who(lab.node, "127.0.0.1", 7000) == "secret");
}

TEST_CASE("A pod with a hostPort reaches the node's 127.0.0.1 no more than others") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const EchoServer secret(lab.node, "secret", {7000}, "127.0.0.1");
  manifests.write("pod.yaml", fmt::format("apiVersion: v1\nkind: Pod\nmetadata: {{name: pod, namespace: attic}}\n"
                                          "spec: {{nodeName: node-1, containers: [{{name: c, ports: [{{containerPort: "
                                          "8080, hostPort: 7002}}]}}]}}\n"
                                          "status: {{phase: Running, podIPs: [{{ip: {}}}]}}\n",
                                          kPodA));
  must_run_in(lab.pod_a, {"ip", "addr", "flush", "dev", "lo"});
  set_sysctl(lab.pod_a, "net/ipv4/conf/all/route_localnet", "1");
  must_run_in(lab.pod_a, {"ip", "route", "add", "127.0.0.1/32", "via", kPodGateway, "dev", "eth0", "src", kPodA});
  set_sysctl(lab.node, "net/ipv4/conf/vetha/route_localnet", "1");
  REQUIRE(who(lab.pod_a, "127.0.0.1", 7000) == "secret");  // without kubenatd's guard

  const std::string mode = GENERATE("iptables: {localhostNodePorts: false}\n", "");
  Agent(lab.node, manifests, in_nftables_mode() ? "" : mode).apply();
  CHECK(is_silent(lab.pod_a, Transport::kTcp, "127.0.0.1", 7000));
  CHECK(is_silent(lab.pod_a, Transport::kUdp, "127.0.0.1", 7000));
  CHECK(who(lab.node, "127.0.0.1", 7000) == "secret");
  CHECK(who(lab.node, "127.0.0.1", 7002) == "pod-a");
}

TEST_CASE("A hostPort takes no traffic that is not for the node and none of a Service") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const EchoServer elsewhere(lab.node_2, "elsewhere", {53});
  manifests.put({.name = "web", .cluster_ips = {"10.96.13.1"}, .ports = {PortSpec{.port = 53}}}, ready({kPodB}));
  // A ClusterIP may be local, as it is after kube-proxy in ipvs mode: CVE-2019-9946 was about that.
  must_run_in(lab.node, {"ip", "addr", "add", "10.96.13.1/32", "dev", "lo"});
  manifests.write(
      "pod.yaml",
      fmt::format("apiVersion: v1\nkind: Pod\nmetadata: {{name: pod, namespace: attic}}\n"
                  "spec: {{nodeName: node-1, containers: [{{name: c, ports: [{{containerPort: 8080, hostPort: "
                  "53}}, {{containerPort: 8080, hostPort: 54, hostIP: {}}}]}}]}}\n"
                  "status: {{phase: Running, podIPs: [{{ip: {}}}]}}\n",
                  kOtherNode, kPodA));
  Agent(lab.node, manifests).apply();
  CHECK(who(lab.client, kNode, 53) == "pod-a");
  for (const auto* from : {&lab.pod_b, &lab.node}) {
    CHECK(who(*from, kOtherNode, 53) == "elsewhere");
    CHECK(who(*from, kOtherNode, 54) == "refused");
    CHECK(who(*from, "10.96.13.1", 53) == "pod-b");
  }
}

}  // namespace
}  // namespace kubenatd::test
