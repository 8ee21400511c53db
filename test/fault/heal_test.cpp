#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cstdio>

#include "test/support/cluster.h"
#include "test/support/lab.h"

/// What others do to kubenatd's chains while it runs, and how the chains come back.
namespace kubenatd::test {
namespace {

ServiceSpec web_service() {
  return {
      .name = "web",
      .cluster_ips = {"10.96.0.10", "fd00:10:96::10"},
      .ports = {PortSpec{.node_port = 30080}, PortSpec{.name = "udp", .protocol = "UDP", .node_port = 30081}},
      .type = "LoadBalancer",
      .ingress = {{"203.0.113.10"}},
      .source_ranges = {"192.168.77.0/24"},
      .affinity_seconds = 600,
  };
}

/// A node whose kubenatd runs and has written everything.
struct RunningNode {
  RunningNode() {
    for (int i = 0; i < 5; ++i) {
      const ServiceSpec other{.name = fmt::format("other{}", i), .cluster_ips = {fmt::format("10.96.5.{}", i)}};
      manifests.put(other, ready({kPodA, kPodC}));
    }
    manifests.put({.name = "dead", .cluster_ips = {"10.96.0.11", "fd00:10:96::11"}}, std::vector<EndpointSpec>{});
    manifests.put(web_service(), ready({kPodA, kPodB, kPodC, kPodA6, kPodC6}));
    agent.apply();
    four = saved_rules(bare.node);
    six = saved_rules(bare.node, true);
    daemon.emplace(agent.start());
    // The first stray rule may be taken away by start-up, the second one only by a kubenatd that watches.
    for (int i = 0; i < 2; ++i) {
      must_run_in(bare.node, {"iptables", "-t", "nat", "-A", "KUBE-MARK-MASQ", "-j", "RETURN"});
      REQUIRE(eventually([&] { return intact(); }));
    }
  }

  [[nodiscard]] bool intact() const {
    // Between a flush and its healing iptables-save itself may fail.
    try {
      return saved_rules(bare.node) == four && saved_rules(bare.node, true) == six;
    } catch (const std::exception&) {
      return false;
    }
  }

  /// Runs a command that does damage, sees to it that it did, and waits for the healing.
  void damage(const std::vector<std::string>& command, const std::string& input = {}) {
    const auto before = nf_tables_generation(bare.node);
    std::string line;
    for (const auto& word : command) line += word + " ";
    INFO("after: " << line << input);
    must_run_in(bare.node, command, input);
    CHECK(nf_tables_generation(bare.node) != before);
    const bool healed = eventually([&] { return intact(); });
    if (!healed) {
      FAIL_CHECK("not healed:\n"
                 << changed_lines(four, saved_rules(bare.node)) << changed_lines(six, saved_rules(bare.node, true))
                 << "kubenatd said:\n"
                 << daemon->err());
    }
    CHECK(daemon->running());
  }

  BareNode bare;
  Manifests manifests;
  Agent agent{bare.node, manifests};
  std::string four, six;
  std::optional<Child> daemon;
};

TEST_CASE("Flushed chains and tables are healed", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  RunningNode node;
  node.damage({"iptables", "-F"});
  node.damage({"iptables", "-t", "nat", "-F"});
  node.damage({"ip6tables", "-F"});
  node.damage({"ip6tables", "-t", "nat", "-F"});
  node.damage({"iptables", "-t", "nat", "-F", "KUBE-SERVICES"});
  node.damage({"iptables", "-t", "nat", "-F", "KUBE-POSTROUTING"});
  node.damage({"iptables", "-F", "KUBE-FORWARD"});
}

TEST_CASE("A flushed ruleset is healed", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  RunningNode node;
  node.damage({"nft", "flush", "ruleset"});
  node.damage({"nft", "delete", "table", "ip", "nat"});
  node.damage({"nft", "delete", "table", "ip6", "filter"});
}

TEST_CASE("Single rules that are deleted, inserted, replaced or moved are healed", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  RunningNode node;
  SECTION("deleted") {
    node.damage({"iptables", "-t", "nat", "-D", "KUBE-SERVICES", "2"});
    node.damage({"iptables", "-t", "nat", "-D", "KUBE-NODEPORTS", "1"});
    node.damage({"iptables", "-D", "KUBE-SERVICES", "1"});
    node.damage({"ip6tables", "-t", "nat", "-D", "KUBE-POSTROUTING", "1"});
  }
  SECTION("inserted") {
    node.damage({"iptables", "-t", "nat", "-I", "KUBE-SERVICES", "-d", "10.96.0.10", "-j", "ACCEPT"});
    node.damage({"iptables", "-t", "nat", "-A", "KUBE-POSTROUTING", "-j", "RETURN"});
    node.damage({"iptables", "-I", "KUBE-FORWARD", "2", "-j", "DROP"});
    node.damage({"ip6tables", "-I", "KUBE-PROXY-FIREWALL", "-j", "DROP"});
  }
  SECTION("replaced") {
    node.damage({"iptables", "-t", "nat", "-R", "KUBE-MARK-MASQ", "1", "-j", "RETURN"});
    node.damage({"iptables", "-t", "nat", "-R", "KUBE-SERVICES", "1", "-d", "10.96.0.10", "-j", "RETURN"});
  }
  SECTION("moved") {
    // The NodePort jump comes first: every rule is there, the order is wrong.
    std::string tail;
    for (const auto& line : lines_of(node.four)) {
      if (line.starts_with("-A KUBE-SERVICES") && line.ends_with("-j KUBE-NODEPORTS")) tail = line.substr(2);
    }
    node.damage({"iptables-restore", "--noflush"}, "*nat\n-D" + tail + "\n-I" + tail + "\nCOMMIT\n");
    node.damage({"iptables-restore", "--noflush"},
                "*nat\n-D KUBE-POSTROUTING 2\n-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000\nCOMMIT\n");
  }
}

TEST_CASE("Edits of service chains are healed", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  RunningNode node;
  std::string service, endpoint;
  for (const auto& line : lines_of(node.four)) {
    if (line.starts_with(":KUBE-SVC-")) service = line.substr(1, line.find(' ') - 1);
    if (line.starts_with(":KUBE-SEP-")) endpoint = line.substr(1, line.find(' ') - 1);
  }
  node.damage({"iptables", "-t", "nat", "-D", service, "1"});
  node.damage({"iptables", "-t", "nat", "-F", endpoint});
  node.damage(
      {"iptables", "-t", "nat", "-R", endpoint, "2", "-p", "tcp", "-j", "DNAT", "--to-destination", "192.0.2.66:80"});
  node.damage({"iptables", "-t", "nat", "-I", service, "-j", endpoint});
}

TEST_CASE("Jumps out of the builtin chains are healed, beside the rules of others", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  RunningNode node;
  SECTION("one jump") {
    node.damage({"iptables", "-t", "nat", "-D", "POSTROUTING", "1"});
    node.damage({"iptables", "-D", "INPUT", "-j", "KUBE-FIREWALL"});
  }
  SECTION("others have rules there") {
    must_run_in(node.bare.node,
                {"iptables", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "9", "-j", "RETURN"});
    must_run_in(node.bare.node, {"iptables", "-I", "FORWARD", "-s", "192.0.2.1", "-j", "DROP"});
    node.four = saved_rules(node.bare.node);
    must_run_in(node.bare.node, {"iptables", "-t", "nat", "-D", "PREROUTING", "1"});
    CHECK(eventually([&] { return has_rule(node.bare.node, "-A PREROUTING -m comment"); }));
    CHECK(has_rule(node.bare.node, "-A PREROUTING -p tcp -m tcp --dport 9 -j RETURN"));
    CHECK(has_rule(node.bare.node, "-A FORWARD -s 192.0.2.1/32 -j DROP"));
  }
}

TEST_CASE("A stray chain with a service's name is taken away", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  RunningNode node;
  node.damage({"iptables-restore", "--noflush"},
              "*nat\n:KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]\n-A KUBE-SVC-AAAAAAAAAAAAAAAA"
              " -j RETURN\nCOMMIT\n");
}

TEST_CASE("Traffic flows again after a flush", "[iptables][short]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put({.name = "web", .cluster_ips = {"10.96.0.10"}}, ready({kPodB}));
  const Agent agent(lab.node, manifests);
  agent.apply();
  const auto rules = saved_rules(lab.node);
  const auto daemon = agent.start();
  REQUIRE(ask(lab.pod_a, Transport::kTcp, "10.96.0.10", 80).by == "pod-b");

  must_run_in(lab.node, {"nft", "flush", "ruleset"});
  CHECK(eventually([&] { return ask(lab.pod_a, Transport::kTcp, "10.96.0.10", 80, kSilenceTime).by == "pod-b"; }));
  CHECK(eventually([&] { return saved_rules(lab.node) == rules; }));
}

}  // namespace
}  // namespace kubenatd::test
