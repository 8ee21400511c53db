#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "test/support/cluster.h"
#include "test/support/lab.h"
#include "test/support/linux_release.h"

/// The table of nftables mode as it belongs to the running agent alone, seen from other programs.
namespace kubenatd::test {
namespace {

constexpr const char* kConfig = "mode: nftables\n";
const ServiceSpec kWeb{.name = "web",
                       .cluster_ips = {"10.96.0.10", "fd00:10:96::10"},
                       .ports = {PortSpec{.node_port = 30080}},
                       .type = "NodePort"};

/// What an owner has to say at its start, in each family.
bool owns_its_tables(const Child& daemon) {
  const std::string text = daemon.err();
  const auto first = text.find("owns its table");
  return first != std::string::npos && text.find("owns its table", first + 1) != std::string::npos;
}

std::string tables_of(const Namespace& node) {
  return must_run_in(node, {"nft", "list", "tables"});
}

bool serves(const Lab& lab) {
  return ask(lab.pod_b, Transport::kTcp, "10.96.0.10", 80).by == "pod-a" &&
         ask(lab.client, Transport::kTcp, kNode, 30080).source == kPodGateway;
}

TEST_CASE("Nobody but the running agent changes its table, and kill -9 leaves it for the next one",
          "[nftables][short]") {
  KUBENATD_NEEDS_NAMESPACES();
  KUBENATD_NEEDS_LINUX(6, 9, "tables that outlive their owner");
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA, kPodA6}));
  const Agent agent(lab.node, manifests, kConfig);
  auto daemon = agent.start();
  REQUIRE(eventually([&] { return owns_its_tables(daemon); }));
  REQUIRE(serves(lab));
  Conversation kept(lab.pod_b, Transport::kTcp, "10.96.0.10", 80);
  REQUIRE(kept.ask().by == "pod-a");

  must_run_in(lab.node, {"nft", "add", "table", "ip", "others"});
  SteadyTraffic traffic({{lab.pod_b, Transport::kTcp, "10.96.0.10", 80}});
  must_run_in(lab.node, {"nft", "flush", "ruleset"});
  CHECK(tables_of(lab.node) == "table ip kubenatd\ntable ip6 kubenatd\n");
  for (const char* edit :
       {"delete table ip kubenatd", "flush chain ip kubenatd services", "insert rule ip kubenatd services drop",
        "flush set ip kubenatd cluster-ips", "add table ip kubenatd { flags dormant; }"}) {
    const auto refused = run_in(lab.node, {"nft", edit});
    INFO(edit << refused.describe());
    CHECK_FALSE(refused.ok());
    CHECK(refused.err.find("not permitted") != std::string::npos);
  }
  // The agent's own changes go on.
  manifests.put_endpoints(kWeb, ready({kPodB, kPodA6}));
  CHECK(eventually([&] { return ask(lab.pod_a, Transport::kTcp, "10.96.0.10", 80).by == "pod-b"; }));
  manifests.put_endpoints(kWeb, ready({kPodA, kPodA6}));
  CHECK(eventually([&] { return ask(lab.pod_b, Transport::kTcp, "10.96.0.10", 80).by == "pod-a"; }));

  daemon.signal(SIGKILL);
  REQUIRE(daemon.wait(std::chrono::seconds(10)));
  CHECK(serves(lab));
  CHECK(kept.ask().by == "pod-a");
  auto next = agent.start();
  CHECK(eventually([&] { return owns_its_tables(next); }));
  CHECK(next.err().find("taken over from an owner that is gone") != std::string::npos);
  CHECK_FALSE(run_in(lab.node, {"nft", "delete", "table", "ip", "kubenatd"}).ok());
  CHECK(traffic.stop() == std::vector<std::string>{});
  CHECK(traffic.asked() > 10);
  CHECK(kept.ask().by == "pod-a");
  CHECK(serves(lab));
}

TEST_CASE("A table of an agent without ownership is taken over without a moment without rules", "[nftables]") {
  KUBENATD_NEEDS_NAMESPACES();
  KUBENATD_NEEDS_LINUX(6, 9, "tables that outlive their owner");
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA, kPodA6}));
  Agent plain(lab.node, manifests, kConfig);
  plain.extra_arguments = {"--own-table", "off"};
  const Agent owner(lab.node, manifests, kConfig);
  plain.apply();
  REQUIRE(serves(lab));
  for (int round = 0; round < 6; ++round) {
    {
      SteadyTraffic traffic({{lab.pod_b, Transport::kTcp, "10.96.0.10", 80}});
      auto daemon = owner.start();
      CHECK(eventually([&] { return owns_its_tables(daemon); }));
      CHECK(daemon.err().find("made anew in place of one that could not be owned") != std::string::npos);
      CHECK(traffic.stop() == std::vector<std::string>{});
      CHECK(traffic.asked() > 0);
      daemon.signal(SIGTERM);
      CHECK(daemon.wait(std::chrono::seconds(10)));
    }
    CHECK(tables_of(lab.node) == "table ip kubenatd\ntable ip6 kubenatd\n");
    // Back to tables that cannot be owned. nft does not bridge the moment at which it replaces them.
    std::string text;
    for (const char* family : {"ip", "ip6"}) {
      text += fmt::format("delete table {} kubenatd\n", family);
      for (const auto& line : lines_of(must_run_in(lab.node, {"nft", "list", "table", family, "kubenatd"})))
        if (!line.starts_with("\tflags")) text += line + "\n";
    }
    must_run_in(lab.node, {"nft", "-f", "-"}, text);
  }
}

TEST_CASE("Commands work beside the owner of the table, and cleanup says who owns it", "[nftables]") {
  KUBENATD_NEEDS_NAMESPACES();
  KUBENATD_NEEDS_LINUX(6, 9, "tables that outlive their owner");
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA, kPodA6}));
  const Agent agent(lab.node, manifests, kConfig);
  must_run_in(lab.node, {"iptables", "-t", "nat", "-N", "KUBE-SVC-AAAAAAAAAAAAAAAA"});
  must_run_in(lab.node, {"iptables", "-t", "nat", "-A", "KUBE-SVC-AAAAAAAAAAAAAAAA", "-j", "RETURN"});
  auto daemon = agent.start();
  REQUIRE(eventually([&] { return owns_its_tables(daemon); }));
  const std::string owner = fmt::format("kubenatd ({})", daemon.pid());

  const auto same = agent.invoke(agent.command("diff"));
  INFO(same.describe());
  CHECK(same.status == 0);
  auto words = agent.command("explain");
  words.insert(words.begin() + 1, "10.96.0.10:80");
  CHECK(agent.invoke(words).out.find(kPodA) != std::string::npos);
  const auto check = agent.invoke({"check", "--node", "--proxy-mode", "nftables"});
  INFO(check.describe());
  CHECK(check.out.find("owned now: ip kubenatd by " + owner) != std::string::npos);

  const auto refused = agent.invoke({"cleanup"});
  INFO(refused.describe());
  CHECK(refused.status == 1);
  CHECK(refused.err.find("nothing is removed") != std::string::npos);
  CHECK(refused.err.find(owner) != std::string::npos);
  CHECK(serves(lab));
  CHECK(tables_of(lab.node).find("table ip kubenatd") != std::string::npos);

  daemon.signal(SIGTERM);
  REQUIRE(daemon.wait(std::chrono::seconds(10)));
  const auto done = agent.invoke({"cleanup"});
  INFO(done.describe());
  CHECK(done.status == 0);
  CHECK(tables_of(lab.node).find("kubenatd") == std::string::npos);
}

TEST_CASE("A second agent names the first, waits without work, and takes over when that ends", "[nftables]") {
  KUBENATD_NEEDS_NAMESPACES();
  KUBENATD_NEEDS_LINUX(6, 9, "tables that outlive their owner");
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA, kPodA6}));
  const Agent agent(lab.node, manifests, kConfig);
  auto first = agent.start();
  REQUIRE(eventually([&] { return owns_its_tables(first); }));
  auto second = agent.start();
  const std::string owner = fmt::format("the table belongs to kubenatd ({})", first.pid());
  REQUIRE(eventually([&] { return second.err().find(owner) != std::string::npos; }));
  const auto told = second.err().size();
  const auto worked = second.cpu_time();
  std::this_thread::sleep_for(std::chrono::seconds(2));
  CHECK(second.running());
  CHECK(second.cpu_time() - worked < std::chrono::milliseconds(500));
  CHECK(second.err().find(owner, told) == std::string::npos);
  CHECK(serves(lab));
  first.signal(SIGTERM);
  REQUIRE(first.wait(std::chrono::seconds(10)));
  CHECK(eventually([&] { return owns_its_tables(second); }));
  CHECK(serves(lab));
  // One that runs once only does not wait.
  const auto once = agent.once();
  CHECK(once.status == 1);
  CHECK(once.err.find(fmt::format("the table belongs to kubenatd ({})", second.pid())) != std::string::npos);
}

TEST_CASE("SIGHUP switches ownership off and on, and nothing of the table is written", "[nftables]") {
  KUBENATD_NEEDS_NAMESPACES();
  KUBENATD_NEEDS_LINUX(6, 9, "tables that outlive their owner");
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA, kPodA6}));
  const TempFolder files;
  const auto configure = [&](const std::string& own) {
    return files
        .write("config.yaml",
               "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: nftables\n"
               "clusterCIDR: 10.244.0.0/16,fd00:10:244::/56\n"
               "---\napiVersion: kubenatd.io/v1alpha1\nkind: KubenatdConfiguration\nownTable: \"" +
                   own + "\"\n")
        .string();
  };
  Agent agent(lab.node, manifests, kConfig);
  agent.extra_arguments = {"--config", configure("auto")};
  auto daemon = agent.start();
  REQUIRE(eventually([&] { return owns_its_tables(daemon); }));
  const auto handles = [&] { return must_run_in(lab.node, {"nft", "-a", "list", "chains", "ip"}); };
  const std::string before = handles();
  (void)configure("off");
  daemon.signal(SIGHUP);
  CHECK(eventually([&] { return daemon.err().find("does not own its table") != std::string::npos; }));
  CHECK(handles() == before);
  must_run_in(lab.node, {"nft", "add", "chain", "ip", "kubenatd", "stranger"});
  CHECK(eventually([&] { return handles() == before; }));
  (void)configure("on");
  daemon.signal(SIGHUP);
  CHECK(eventually([&] { return !run_in(lab.node, {"nft", "add", "chain", "ip", "kubenatd", "stranger"}).ok(); }));
  CHECK(eventually([&] { return handles() == before; }));
  CHECK(daemon.running());
  CHECK(serves(lab));
}

}  // namespace
}  // namespace kubenatd::test
