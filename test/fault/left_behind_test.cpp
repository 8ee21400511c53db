#include <catch2/catch.hpp>
#include <regex>

#include "test/support/cluster.h"
#include "test/support/lab.h"
#include "test/support/places.h"

/// A node where kube-proxy ran in nftables mode before: its table (test/field/F40, made by kube-proxy v1.36.3) serves a
/// Service of this cluster by an endpoint of yesterday, in real packets.
namespace kubenatd::test {
namespace {

using Modes = std::string;

constexpr const char* kRemoved = "removed what another proxy had left behind";
constexpr const char* kCameBack = "removed rules of another proxy that had come back";

/// With pod_b as yesterday's endpoint.
std::string table_of_yesterday() {
  const std::string text = read_file(project_file("test/field/F40/kube-proxy.nft"));
  return std::regex_replace(text, std::regex("10\\.244\\.1\\.12"), kPodB);
}

bool has_table(const Namespace& node) {
  return must_run_in(node, {"nft", "list", "tables"}).find("kube-proxy") != std::string::npos;
}

bool says(const Child& running, const std::string& text) {
  return eventually([&] { return running.err().find(text) != std::string::npos; });
}

const ServiceSpec kWeb{
    .name = "web", .cluster_ips = {"10.96.0.80"}, .ports = {PortSpec{.node_port = 30080}}, .type = "NodePort"};

void check_served_by_today(const Lab& lab) {
  for (int i = 0; i < 5; ++i) {
    CHECK(ask(lab.client, Transport::kTcp, "10.96.0.80", 80).by == "pod-a");
    CHECK(ask(lab.pod_a, Transport::kTcp, "10.96.0.80", 80).by == "pod-a");
    CHECK(ask(lab.client, Transport::kTcp, kNode, 30080).by == "pod-a");
  }
}

TEST_CASE("kube-proxy's table of nft goes when kubenatd starts, and open connections go on") {
  KUBENATD_NEEDS_NAMESPACES();
  const auto mode = GENERATE(as<Modes>{}, "iptables", "nftables");
  INFO(mode);
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA}));
  const Agent agent(lab.node, manifests, "mode: " + mode + "\n");
  must_run_in(lab.node, {"nft", "-f", "-"}, table_of_yesterday());
  must_run_in(lab.node, {"nft", "add", "table", "ip", "others"});
  Conversation open(lab.client, Transport::kTcp, "10.96.0.80", 80);
  REQUIRE(open.ask().by == "pod-b");

  const auto before = agent.invoke({"diff", "--hostname-override", "node-1", "--manifests", manifests.path()});
  CHECK(before.status == 1);
  CHECK(before.out.find("IPv4 table kube-proxy of nft (not wanted)") != std::string::npos);
  CHECK(before.out.find("IPv6 table kube-proxy of nft (not wanted)") != std::string::npos);

  const auto once = agent.once();
  INFO(once.describe());
  CHECK(once.ok());
  CHECK(once.err.find(kRemoved) != std::string::npos);
  CHECK_FALSE(has_table(lab.node));
  CHECK(must_run_in(lab.node, {"nft", "list", "tables"}).find("ip others") != std::string::npos);
  check_served_by_today(lab);
  CHECK(open.ask().by == "pod-b");

  // What is deleted is gone: nobody answers for it any more.
  manifests.remove(kWeb);
  agent.apply();
  CHECK_FALSE(ask(lab.client, Transport::kTcp, "10.96.0.80", 80, kSilenceTime).answered());
}

TEST_CASE("kube-proxy's table that somebody loads while kubenatd runs goes as well") {
  KUBENATD_NEEDS_NAMESPACES();
  const auto mode = GENERATE(as<Modes>{}, "iptables", "nftables");
  INFO(mode);
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA}));
  const Agent agent(lab.node, manifests, "mode: " + mode + "\n");
  const auto running = agent.start();
  REQUIRE(says(running, "ready"));
  must_run_in(lab.node, {"nft", "-f", "-"}, table_of_yesterday());
  CHECK(eventually([&] { return !has_table(lab.node); }));
  check_served_by_today(lab);
  must_run_in(lab.node, {"nft", "-f", "-"}, table_of_yesterday());
  CHECK(says(running, kCameBack));
  CHECK(running.err().find("nft (") != std::string::npos);
  CHECK(eventually([&] { return !has_table(lab.node); }));
  check_served_by_today(lab);
}

TEST_CASE("chains of iptables mode that somebody restores while kubenatd runs in nftables mode go again") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodB}));
  // What kube-proxy in iptables mode had made, with yesterday's endpoint.
  Agent(lab.node, manifests, "mode: iptables\n").apply();
  const std::string saved = must_run_in(lab.node, {"iptables-save"});
  manifests.put(kWeb, ready({kPodA}));
  const Agent agent(lab.node, manifests, "mode: nftables\n");
  const auto running = agent.start();
  REQUIRE(says(running, kRemoved));
  CHECK_FALSE(has_rule(lab.node, "KUBE-"));
  check_served_by_today(lab);
  must_run_in(lab.node, {"iptables-restore", "--noflush"}, saved);
  CHECK(says(running, kCameBack));
  CHECK(eventually([&] { return !has_rule(lab.node, "KUBE-"); }));
  check_served_by_today(lab);
}

TEST_CASE("cleanup takes kube-proxy's table away, and counts it") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  const Agent agent(bare.node, manifests);
  must_run_in(bare.node, {"nft", "-f", "-"}, table_of_yesterday());
  const auto cleaned = agent.invoke({"cleanup"});
  INFO(cleaned.describe());
  CHECK(cleaned.ok());
  CHECK(cleaned.err.find("tables=1") != std::string::npos);
  CHECK_FALSE(has_table(bare.node));
}

}  // namespace
}  // namespace kubenatd::test
