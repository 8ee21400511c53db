#include <fmt/format.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdio>
#include <thread>

#include "test/support/cluster.h"
#include "test/support/lab.h"

/// Others who write into the same tables.
namespace kubenatd::test {
namespace {

constexpr const char* kForeignRules =
    "*nat\n"
    ":DOCKER - [0:0]\n"
    ":CNI-HOSTPORT-DNAT - [0:0]\n"
    ":KUBE-ROUTER-HAIRPIN - [0:0]\n"
    "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n"
    "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n"
    "-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE\n"
    "-A DOCKER -i docker0 -j RETURN\n"
    "-A DOCKER -p tcp --dport 8443 -j DNAT --to-destination 172.17.0.2:443\n"
    "-A CNI-HOSTPORT-DNAT -p tcp --dport 8081 -j DNAT --to-destination 10.244.1.5:80\n"
    "-A KUBE-ROUTER-HAIRPIN -j RETURN\n"
    "COMMIT\n"
    "*filter\n"
    ":DOCKER-USER - [0:0]\n"
    ":KUBE-NWPLCY-DEFAULT - [0:0]\n"
    "-A INPUT -i lo -j ACCEPT\n"
    "-A FORWARD -j DOCKER-USER\n"
    "-A DOCKER-USER -j RETURN\n"
    "-A KUBE-NWPLCY-DEFAULT -m comment --comment \"of another agent\" -j RETURN\n"
    "COMMIT\n"
    "*mangle\n"
    ":KUBE-KUBELET-CANARY - [0:0]\n"
    ":KUBE-IPTABLES-HINT - [0:0]\n"
    "-A PREROUTING -p tcp --dport 1 -j MARK --set-mark 7\n"
    "COMMIT\n";

/// Tables of their own that iptables cannot express.
constexpr const char* kNativeRules = R"(
table inet firewalld {
  chain input {
    type filter hook input priority 10
    ct state established accept
  }
}
table ip other {
  map m {
    type ipv4_addr : verdict
    elements = { 192.0.2.1 : drop }
  }
}
)";

const std::vector<std::string> kForeignLines = {
    "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
    "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
    "-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE",
    "-A DOCKER -i docker0 -j RETURN",
    "-A DOCKER -p tcp -m tcp --dport 8443 -j DNAT --to-destination 172.17.0.2:443",
    "-A CNI-HOSTPORT-DNAT -p tcp -m tcp --dport 8081 -j DNAT --to-destination 10.244.1.5:80",
    "-A KUBE-ROUTER-HAIRPIN -j RETURN",
    "-A INPUT -i lo -j ACCEPT",
    "-A FORWARD -j DOCKER-USER",
    "-A DOCKER-USER -j RETURN",
    "-A KUBE-NWPLCY-DEFAULT -m comment --comment \"of another agent\" -j RETURN",
};

void put_foreign(const Namespace& node) {
  must_run_in(node, {"iptables-restore", "--noflush"}, kForeignRules);
  must_run_in(node, {"nft", "-f", "-"}, kNativeRules);
}

void check_foreign(const Namespace& node) {
  const auto rules = saved_rules(node);
  for (const auto& line : kForeignLines) {
    INFO(line);
    CHECK(rules.find(line + "\n") != std::string::npos);
  }
  const auto all = must_run_in(node, {"nft", "list", "ruleset"});
  CHECK(all.find("ct state established accept") != std::string::npos);
  CHECK(all.find("192.0.2.1 : drop") != std::string::npos);
  CHECK(all.find("KUBE-KUBELET-CANARY") != std::string::npos);
  CHECK(all.find("KUBE-IPTABLES-HINT") != std::string::npos);
}

ServiceSpec service(int number) {
  return {.name = fmt::format("s{}", number), .cluster_ips = {fmt::format("10.96.6.{}", number)}};
}

TEST_CASE("Chains and rules of others outlive every operation", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  for (int i = 0; i < 5; ++i) manifests.put(service(i), ready({kPodA, kPodB}));
  const Agent agent(bare.node, manifests);
  put_foreign(bare.node);

  agent.apply();
  check_foreign(bare.node);
  manifests.remove(service(1));
  manifests.put_endpoints(service(2), {});
  agent.apply();
  check_foreign(bare.node);
  CHECK_FALSE(has_rule(bare.node, "demo/s1"));

  const auto cleaned = agent.invoke({"cleanup"});
  INFO(cleaned.describe());
  CHECK(cleaned.ok());
  check_foreign(bare.node);
  for (const auto* own : {"KUBE-SERVICES", "KUBE-SVC-", "KUBE-SEP-", "KUBE-POSTROUTING", "KUBE-MARK-MASQ",
                          "KUBE-FORWARD", "KUBE-NODEPORTS", "KUBE-PROXY-FIREWALL", "KUBE-EXTERNAL-SERVICES"}) {
    INFO(own);
    CHECK_FALSE(has_rule(bare.node, own));
    CHECK_FALSE(has_rule(bare.node, own, true));
  }
}

TEST_CASE("Another process that writes foreign chains all the time holds nothing up", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  const Agent agent(bare.node, manifests);
  put_foreign(bare.node);
  std::atomic<bool> stop{false};
  std::atomic<int> writes{0};
  std::thread other([&] {
    while (!stop) {
      static_cast<void>(run_in(bare.node, {"iptables-restore", "--noflush"},
                               fmt::format("*nat\n:BUSY - [0:0]\n-A BUSY -p tcp --dport {} -j "
                                           "RETURN\nCOMMIT\n*filter\n:BUSY - [0:0]\n-A BUSY -j RETURN\nCOMMIT\n",
                                           1 + writes % 60000)));
      ++writes;
    }
  });
  {
    auto daemon = agent.start();
    for (int i = 0; i < 15; ++i) {
      manifests.put(service(i), ready({kPodA, kPodB}));
      CHECK(eventually([&] { return has_rule(bare.node, fmt::format("demo/s{}:http cluster IP", i)); }));
    }
    CHECK(daemon.running());
  }
  for (int i = 0; i < 15; i += 3) {
    manifests.remove(service(i));
    const auto result = agent.once();
    INFO(result.describe());
    CHECK(result.ok());
  }
  stop = true;
  other.join();
  CHECK(writes > 0);
  check_foreign(bare.node);
  CHECK(has_rule(bare.node, "-A BUSY -p tcp"));
  CHECK_FALSE(has_rule(bare.node, "demo/s3:"));
  CHECK(has_rule(bare.node, "demo/s4:"));
}

TEST_CASE("A writer that keeps breaking one chain does not make kubenatd burn the CPU", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  for (int i = 0; i < 100; ++i) manifests.put(service(i), ready({kPodA, kPodB}));
  const Agent agent(bare.node, manifests);
  agent.apply();
  const auto right = saved_rules(bare.node);
  auto daemon = agent.start();
  must_run_in(bare.node, {"iptables", "-t", "nat", "-I", "KUBE-POSTROUTING", "-j", "RETURN"});
  REQUIRE(eventually([&] { return saved_rules(bare.node) == right; }));

  using Clock = std::chrono::steady_clock;
  const auto cpu_before = daemon.cpu_time();
  const auto begin = Clock::now();
  int writes = 0;
  while (Clock::now() - begin < std::chrono::seconds(6)) {
    static_cast<void>(run_in(bare.node, {"iptables", "-t", "nat", "-I", "KUBE-POSTROUTING", "-j", "RETURN"}));
    ++writes;
  }
  const auto wall = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
  const auto cpu = daemon.cpu_time() - cpu_before;
  INFO(writes << " writes, " << cpu.count() << " ms of CPU in " << wall.count() << " ms");
  CHECK(cpu * 2 < wall);
  CHECK(daemon.running());
  // The person who looks for the culprit is told where to look.
  CHECK((daemon.err() + daemon.out()).find("KUBE-POSTROUTING") != std::string::npos);
  // When the other stops, the chain is put right.
  CHECK(eventually([&] { return saved_rules(bare.node) == right; }, std::chrono::seconds(40)));
}

}  // namespace
}  // namespace kubenatd::test
