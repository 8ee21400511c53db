#include <fmt/format.h>

#include <algorithm>

#include <catch2/catch.hpp>
#include <csignal>

#include "test/support/cluster.h"
#include "test/support/lab.h"

/// nftables mode under damage: what others do to its table while it runs, and sudden death.
namespace kubenatd::test {
namespace {

std::string table_of(const Namespace& node, const std::string& family) {
  return run_in(node, {"nft", "-s", "list", "table", family, "kubenatd"}).out;
}

/// As nft lists it, in an order that does not depend on hashes.
std::string content(const Namespace& node) {
  auto lines = lines_of(table_of(node, "ip") + table_of(node, "ip6"));
  // Elements of a set stand in the order of the kernel's hash table, which has a seed of its own.
  std::string words;
  for (std::string line : lines) {
    // Flags of the table say who owns it, if anybody; nft 1.0.6 sets blank lines otherwise with them.
    if (line.empty() || line.starts_with("\tflags")) continue;
    words += line.substr(0, line.find(" # progname")) + " ";  // which comes and goes with an owner
  }
  std::vector<std::string> parts;
  std::size_t at = 0;
  while (at < words.size()) {
    const std::size_t end = std::min(words.find_first_of(",{}", at), words.size());
    const std::string part = words.substr(at, end - at);
    const std::size_t first = part.find_first_not_of(" \t");
    if (first != std::string::npos) parts.push_back(part.substr(first, part.find_last_not_of(" \t") - first + 1));
    at = end + 1;
  }
  std::ranges::sort(parts);
  std::string text;
  for (const auto& part : parts) text += part + "\n";
  return text;
}

void put_some(const Manifests& manifests) {
  for (int i = 0; i < 20; ++i)
    manifests.put({.name = fmt::format("web{}", i),
                   .cluster_ips = {fmt::format("10.96.8.{}", i), fmt::format("fd00:10:96::8:{}", i)},
                   .ports = {PortSpec{.node_port = 31000 + i}, PortSpec{.name = "udp", .protocol = "UDP"}},
                   .type = "NodePort"},
                  ready({kPodA, kPodB, kPodA6}));
  manifests.put({.name = "dead", .cluster_ips = {"10.96.0.11"}}, std::vector<EndpointSpec>{});
}

TEST_CASE("Damage to the table of nftables mode is healed while it runs", "[nftables][short]") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  put_some(manifests);
  Agent agent(bare.node, manifests, "mode: nftables\n");
  agent.extra_arguments = {"--own-table", "off"};
  agent.apply();
  const std::string before = content(bare.node);
  auto daemon = agent.start();
  const auto damage = [&](const std::string& command) {
    INFO("after: nft " << command);
    const auto generation = nf_tables_generation(bare.node);
    must_run_in(bare.node, {"nft", "-f", "-"}, command + "\n");
    CHECK(nf_tables_generation(bare.node) != generation);
    const bool healed = eventually([&] { return content(bare.node) == before; });
    if (!healed) FAIL_CHECK(changed_lines(before, content(bare.node)) << daemon.err());
    CHECK(daemon.running());
  };
  // The first may be healed by start-up, the others only by a kubenatd that watches.
  damage("flush ruleset");
  damage("flush ruleset");
  damage("delete table ip6 kubenatd");
  damage("delete element ip kubenatd endpoints { 10.96.8.3 . tcp . 80 . 7f00:1 }");
  damage("flush set ip kubenatd cluster-ips");
  damage("flush chain ip kubenatd services");
  damage("insert rule ip kubenatd services drop");
  damage("add element ip kubenatd nodeports { tcp . 22 }");
  damage("flush chain ip kubenatd nat-output\ndelete chain ip kubenatd nat-output");
}

TEST_CASE("A writer that changes the table of nftables mode all the time does not stop changes of Services",
          "[nftables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  put_some(manifests);
  Agent agent(bare.node, manifests, "mode: nftables\n");
  agent.extra_arguments = {"--own-table", "off"};
  agent.apply();
  auto daemon = agent.start();
  for (int i = 0; i < 20; ++i) {
    const ServiceSpec late{.name = "late", .cluster_ips = {fmt::format("10.96.9.{}", i)}};
    manifests.put(late, ready({kPodA}));
    const std::string wanted = fmt::format("10.96.9.{} . tcp . 80", i);
    const bool there = eventually([&] {
      (void)run_in(bare.node, {"nft", "flush", "set", "ip", "kubenatd", "cluster-ips"});
      return table_of(bare.node, "ip").find(wanted) != std::string::npos;
    });
    CHECK(there);
  }
  CHECK(eventually([&] {
    return table_of(bare.node, "ip").find("10.96.8.19,") != std::string::npos ||
           table_of(bare.node, "ip").find("10.96.8.19 ") != std::string::npos;
  }));
  CHECK(daemon.running());
}

TEST_CASE("kill -9 at any time leaves a whole table in nftables mode, and a restart writes nothing more",
          "[nftables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  put_some(manifests);
  const Agent agent(bare.node, manifests, "mode: nftables\n");
  agent.apply();
  const std::string before = content(bare.node);
  for (int i = 0; i < 12; ++i) {
    auto daemon = agent.start();
    const ServiceSpec late{.name = "late", .cluster_ips = {"10.96.9.1"}};
    manifests.put(late, ready({kPodA, kPodC}));
    // Now earlier, now later in its life.
    if (i % 3 != 0) (void)eventually([&] { return table_of(bare.node, "ip").find("10.96.9.1") != std::string::npos; });
    daemon.signal(SIGKILL);
    REQUIRE(daemon.wait(std::chrono::seconds(10)));
    const std::string left = table_of(bare.node, "ip");
    // All of the Service or nothing.
    const bool named = left.find("demo/late") != std::string::npos;
    CHECK((left.find("10.96.9.1 . tcp . 80 . 7f00:1") != std::string::npos) == named);
    manifests.remove(late);
    agent.apply();
    CHECK(content(bare.node) == before);
    const auto generation = nf_tables_generation(bare.node);
    agent.apply();
    CHECK(nf_tables_generation(bare.node) == generation);
  }
}

}  // namespace
}  // namespace kubenatd::test
