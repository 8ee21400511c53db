#include <csignal>

#include "test/cluster/cluster_support.h"

/// What changes around the agent while it runs: its Node, its configuration, how to reach the server.
namespace kubenatd::test {
namespace {

/// One Service, with an endpoint for each zone.
void put_web(ApiServer& server) {
  server.put(service_object("web", "10.96.0.10", 30080));
  auto slice = slice_object("web", {kPodA, kPodC});
  slice["endpoints"][0]["hints"] = {{"forZones", {{{"name", "zone-a"}}}}};
  slice["endpoints"][1]["hints"] = {{"forZones", {{{"name", "zone-b"}}}}};
  server.put(slice);
}

TEST_CASE("a change of the Node is followed without exiting") {
  KUBENATD_NEEDS_NAMESPACES();
  ClusterNode cluster;
  cluster.configure("detectLocalMode: NodeCIDR\nnodePortAddresses: [primary]\n");
  put_web(cluster.server);
  cluster.server.put(node_object());
  auto agent = cluster.start();
  REQUIRE(cluster.comes("demo/web:http -> 10.244.1.5:8080"));
  INFO(saved_rules(cluster.bare.node));
  CHECK_FALSE(cluster.has("demo/web:http -> 10.244.2.7:8080"));
  CHECK(cluster.has("! -s 10.244.1.0/24 -d 10.96.0.10/32"));
  CHECK(cluster.has("-A KUBE-SERVICES -d 192.168.77.2/32"));

  SECTION("its zone") {
    auto node = node_object();
    node["metadata"]["labels"]["topology.kubernetes.io/zone"] = "zone-b";
    cluster.server.put(node);
    CHECK(cluster.comes("demo/web:http -> 10.244.2.7:8080"));
    CHECK(cluster.goes("demo/web:http -> 10.244.1.5:8080"));
  }
  SECTION("its podCIDRs") {
    auto node = node_object();
    node["spec"]["podCIDRs"] = {"10.99.0.0/24"};
    cluster.server.put(node);
    CHECK(cluster.comes("! -s 10.99.0.0/24 -d 10.96.0.10/32"));
  }
  SECTION("its addresses") {
    must_run_in(cluster.bare.node, {"ip", "addr", "add", "192.168.77.55/24", "dev", "eth0"});
    cluster.server.put(node_object({"192.168.77.55", kNode6}));
    CHECK(cluster.comes("-A KUBE-SERVICES -d 192.168.77.55/32"));
    CHECK(cluster.goes("-A KUBE-SERVICES -d 192.168.77.2/32"));
  }
  SECTION("it goes") {
    cluster.server.remove(kNodesPath, "", "node-1");
    cluster.server.put(service_object("late", "10.96.0.77"));
    CHECK(cluster.comes("10.96.0.77/32"));
  }
  INFO(agent.err());
  CHECK(agent.running());
}

TEST_CASE("a changed configuration is taken over, a broken one refused") {
  KUBENATD_NEEDS_NAMESPACES();
  ClusterNode cluster;
  put_web(cluster.server);
  cluster.server.put(node_object());
  auto agent = cluster.start();
  REQUIRE(cluster.comes("! -s 10.244.0.0/16 -d 10.96.0.10/32"));
  REQUIRE(cluster.is_watched());

  cluster.configure("iptables: {masqueradeAll: true}\n");
  CHECK(cluster.goes("! -s 10.244.0.0/16 -d 10.96.0.10/32"));
  CHECK(
      cluster.comes("-d 10.96.0.10/32 -p tcp -m comment --comment \"demo/web:http cluster IP\" -m tcp --dport 80"
                    " -j KUBE-MARK-MASQ"));
  REQUIRE(cluster.is_watched());

  cluster.configure("iptables: {masqueradeBit: 99}\n");
  CHECK(says(agent, "is refused"));
  CHECK(agent.running());
  // What was before is in force: for what comes now, too.
  cluster.server.put(service_object("late", "10.96.0.77"));
  CHECK(cluster.comes("10.96.0.77/32"));

  cluster.configure();
  CHECK(cluster.comes("! -s 10.244.0.0/16 -d 10.96.0.10/32"));
  INFO(agent.err());
  CHECK(agent.running());
}

TEST_CASE("SIGHUP starts again without a write") {
  KUBENATD_NEEDS_NAMESPACES();
  ClusterNode cluster;
  put_web(cluster.server);
  cluster.server.put(node_object());
  auto agent = cluster.start();
  REQUIRE(says(agent, "ready"));
  REQUIRE(cluster.is_watched());
  const unsigned before = nf_tables_generation(cluster.bare.node);
  const std::size_t asked = cluster.server.requests(kServicesPath);
  agent.signal(SIGHUP);
  CHECK(eventually([&] { return cluster.server.requests(kServicesPath) > asked; }, kPatience));
  cluster.server.put(service_object("late", "10.96.0.77"));
  CHECK(cluster.comes("10.96.0.77/32"));
  CHECK(nf_tables_generation(cluster.bare.node) == before + 1);
}

TEST_CASE("a kubeconfig that changes leads to the other server") {
  KUBENATD_NEEDS_NAMESPACES();
  ClusterNode cluster;
  put_web(cluster.server);
  cluster.server.put(node_object());
  std::optional<Inside> inside(std::in_place, cluster.bare.node);
  ApiServer other;
  inside.reset();
  other.put(node_object());
  other.put(service_object("there", "10.96.0.88"));
  auto agent = cluster.start();
  REQUIRE(says(agent, "ready"));
  REQUIRE(cluster.has("10.96.0.10/32"));
  cluster.write_kubeconfig(other.url());
  CHECK(cluster.comes("10.96.0.88/32"));
  CHECK(cluster.goes("10.96.0.10/32"));
  INFO(agent.err());
  CHECK(agent.running());
}

}  // namespace
}  // namespace kubenatd::test
