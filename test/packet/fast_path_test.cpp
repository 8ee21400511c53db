#include <csignal>

#include <catch2/catch.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "test/packet/fast_path.h"

/// Connections that bypass the rules, on kernels with flowtables.
namespace kubenatd::test {
namespace {

/// Starts it with no table there, and waits. One that is there may be made anew by the start, so that it can be owned,
/// and connections leave the fast path for a while.
Child serve(const Agent& agent, const Lab& lab, const std::vector<const char*>& addresses) {
  Child daemon = agent.start();
  for (const char* address : addresses)
    REQUIRE(eventually([&] { return ask(lab.pod_b, Transport::kTcp, address, 80, kSilenceTime).answered(); }));
  return daemon;
}

TEST_CASE("Where there can be no fast path the log says so and Services are served", "[nftables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA}));
  const bool can = linux_is_from(6, 1) && has_flowtables();
  const ProcessResult result = FastAgent(lab, manifests, {"--fast-path", "auto"}).once();
  INFO(result.describe());
  CHECK(result.status == 0);
  CHECK((result.err.find("--fast-path has no effect on this node") == std::string::npos) == can);
  CHECK((table_of(lab.node).find("flowtable fast-path") != std::string::npos) == can);
  Conversation conversation(lab.pod_b, Transport::kTcp, kClusterIp, 80);
  ask_many(conversation, "pod-a");
}

TEST_CASE("A long connection to a Service takes the fast path and goes on in both directions",
          "[nftables][flowtable]") {
  KUBENATD_NEEDS_NAMESPACES();
  KUBENATD_NEEDS_FLOWTABLES();
  const Lab lab;
  const Manifests manifests;
  struct Way {
    const Namespace& from;
    std::string address;
    std::uint16_t port;
    std::string endpoint, by, source;
  };
  // From a pod, whose address the endpoint sees; masqueraded from outside; through the node to another and back by the
  // device that it came by; to the pod itself.
  const auto way = GENERATE(0, 1, 2, 3, 4, 5);
  const std::vector<Way> ways{{lab.pod_b, kClusterIp, 80, kPodA, "pod-a", kPodB},
                              {lab.pod_b, kClusterIp6, 80, kPodA6, "pod-a", kPodB6},
                              {lab.client, kNode, kNodePort, kPodA, "pod-a", kPodGateway},
                              {lab.client, kNode6, kNodePort, kPodA6, "pod-a", kPodGateway6},
                              {lab.client, kClusterIp, 80, kPodC, "pod-c", kNode},
                              {lab.pod_a, kClusterIp, 80, kPodA, "pod-a", kPodGateway}};
  const Way& one = ways.at(static_cast<std::size_t>(way));
  INFO(one.address << " to " << one.endpoint);
  manifests.put(kWeb, ready({one.endpoint}));
  FastAgent(lab, manifests, {"--fast-path", "auto"}).apply();
  const Witness witness(lab.node);
  Conversation conversation(one.from, Transport::kTcp, one.address, one.port);
  ask_many(conversation, one.by, 2);
  CHECK(offloaded(lab.node) == 0);
  ask_many(conversation, one.by);
  CHECK(offloaded(lab.node) == 1);
  const std::string before = witness.seen();
  ask_many(conversation, one.by, 40);
  CHECK(conversation.ask().source == one.source);
  CHECK(witness.seen() == before);
  CHECK(offloaded(lab.node) == 1);
  // One that came later is judged by all rules.
  CHECK(ask(one.from, Transport::kTcp, one.address, one.port).source == one.source);
  CHECK(witness.seen() != before);
  CHECK(offloaded(lab.node) == 1);
}

TEST_CASE("What ends a connection on the fast path ends its entry as any other", "[nftables][flowtable]") {
  KUBENATD_NEEDS_NAMESPACES();
  KUBENATD_NEEDS_FLOWTABLES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA}));
  FastAgent(lab, manifests, {"--fast-path", "auto"}).apply();
  {
    Conversation conversation(lab.pod_b, Transport::kTcp, kClusterIp, 80);
    ask_many(conversation, "pod-a");
    CHECK(offloaded(lab.node) == 1);
  }
  CHECK(eventually([&] { return offloaded(lab.node) == 0; }));
  // nf_conntrack_tcp_timeout_time_wait and _close_wait, which are the longest once both ends have closed.
  for (const std::string& line : entries(lab.node, "tcp", "ipv4")) {
    if (line.find(kClusterIp) == std::string::npos) continue;
    INFO(line);
    int seconds = 0;
    CHECK(std::sscanf(line.c_str(), "tcp 6 %d", &seconds) == 1);
    CHECK(seconds <= 120);
    CHECK(line.find("ESTABLISHED") == std::string::npos);
  }
}

TEST_CASE("A rule that stops new connections stops them beside one on the fast path", "[nftables][flowtable]") {
  KUBENATD_NEEDS_NAMESPACES();
  KUBENATD_NEEDS_FLOWTABLES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA}));
  FastAgent(lab, manifests, {"--fast-path", "auto"}).apply();
  Conversation conversation(lab.pod_b, Transport::kTcp, kClusterIp, 80);
  ask_many(conversation, "pod-a");
  REQUIRE(offloaded(lab.node) == 1);
  must_run_in(lab.node, {"nft", "-f", "-"},
              "table ip firewall {\n\tchain forward {\n\t\ttype filter hook forward priority 0;\n"
              "\t\tct state new ip saddr 10.244.1.6 drop\n\t}\n}\n");
  CHECK(is_silent(lab.pod_b, Transport::kTcp, kClusterIp, 80));
  CHECK(ask(lab.client, Transport::kTcp, kClusterIp, 80).by == "pod-a");
  ask_many(conversation, "pod-a");
  CHECK(offloaded(lab.node) == 1);
}

TEST_CASE("Connections that are none of a Service's stay off the fast path", "[nftables][flowtable]") {
  KUBENATD_NEEDS_NAMESPACES();
  KUBENATD_NEEDS_FLOWTABLES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA}));
  FastAgent(lab, manifests, {"--fast-path", "auto"}).apply();
  must_run_in(lab.node, {"nft", "-f", "-"},
              "table ip other {\n\tchain prerouting {\n\t\ttype nat hook prerouting priority -110;\n"
              "\t\tip daddr 10.96.0.99 tcp dport 90 dnat to 10.244.1.5:8080\n\t}\n}\n");
  Conversation straight(lab.pod_b, Transport::kTcp, kPodA, 8080);
  Conversation translated(lab.pod_b, Transport::kTcp, "10.96.0.99", 90);
  ask_many(straight, "pod-a");
  ask_many(translated, "pod-a");
  CHECK(offloaded(lab.node) == 0);
}

TEST_CASE("An endpoint that ends keeps its connection on the fast path, also when the agent is killed",
          "[nftables][flowtable]") {
  KUBENATD_NEEDS_NAMESPACES();
  KUBENATD_NEEDS_FLOWTABLES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA}));
  const FastAgent agent(lab, manifests, {"--fast-path", "auto"});
  auto daemon = serve(agent, lab, {kClusterIp});
  Conversation conversation(lab.pod_b, Transport::kTcp, kClusterIp, 80);
  ask_many(conversation, "pod-a");
  CHECK(offloaded(lab.node) == 1);
  manifests.put(kWeb, {EndpointSpec{.address = kPodA, .terminating = true}, EndpointSpec{.address = kPodC}});
  CHECK(eventually([&] { return ask(lab.pod_b, Transport::kTcp, kClusterIp, 80).by == "pod-c"; }));
  ask_many(conversation, "pod-a");
  CHECK(offloaded(lab.node) == 1);
  daemon.signal(SIGKILL);
  REQUIRE(daemon.wait(std::chrono::seconds(5)));
  ask_many(conversation, "pod-a");
  Conversation next(lab.pod_b, Transport::kTcp, kClusterIp, 80);
  ask_many(next, "pod-c");
  CHECK(offloaded(lab.node) == 2);
  manifests.put(kWeb, ready({kPodC}));
  agent.apply();
  // As kube-proxy, it leaves connections of TCP to whom they belong.
  ask_many(conversation, "pod-a");
}

TEST_CASE("A UDP flow on the fast path leaves an endpoint that is gone", "[nftables][flowtable]") {
  KUBENATD_NEEDS_NAMESPACES();
  KUBENATD_NEEDS_FLOWTABLES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA, kPodA6}));
  const FastAgent agent(lab, manifests, {"--fast-path", "auto"});
  const auto daemon = serve(agent, lab, {kClusterIp, kClusterIp6});
  const bool takes_udp = linux_is_from(6, 4);
  Conversation four(lab.pod_b, Transport::kUdp, kClusterIp, 80);
  Conversation six(lab.pod_b, Transport::kUdp, kClusterIp6, 80);
  ask_many(four, "pod-a");
  ask_many(six, "pod-a");
  CHECK(offloaded(lab.node, "udp") == (takes_udp ? 2 : 0));
  manifests.put(kWeb, ready({kPodC, kPodC6}));
  CHECK(eventually([&] { return four.ask(kSilenceTime).by == "pod-c"; }));
  CHECK(eventually([&] { return six.ask(kSilenceTime).by == "pod-c"; }));
  ask_many(four, "pod-c");
  ask_many(six, "pod-c");
}

TEST_CASE("The fast path is switched on and off, and off leaves nothing of it", "[nftables][flowtable]") {
  KUBENATD_NEEDS_NAMESPACES();
  KUBENATD_NEEDS_FLOWTABLES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA, kPodA6}));
  const FastAgent off(lab, manifests, {});
  const FastAgent on(lab, manifests, {"--fast-path", "eth0,vet*,absent0"});
  off.apply();
  const std::string plain = table_of(lab.node);
  CHECK(plain.find("flow") == std::string::npos);
  on.apply();
  CHECK(table_of(lab.node).find("devices = eth0 vetha vethb\n") != std::string::npos);
  const std::string rendered = on.invoke(on.command("render")).out;
  std::size_t rules = 0;
  for (const std::string& line : lines_of(table_of(lab.node))) {
    if (line.find("flow") == std::string::npos && line.find("ct packets") == std::string::npos) continue;
    INFO(line);
    CHECK(rendered.find(line + "\n") != std::string::npos);
    ++rules;
  }
  CHECK(rules >= 2 * 7);  // five for each protocol, the jump, the flowtable
  Conversation conversation(lab.pod_b, Transport::kTcp, kClusterIp, 80);
  ask_many(conversation, "pod-a");
  CHECK(offloaded(lab.node) == 1);
  // Another nft loads what it lists.
  const std::string before = table_of(lab.node);
  const std::string listed = must_run_in(lab.node, {"nft", "list", "ruleset"});
  must_run_in(lab.node, {"nft", "flush", "ruleset"});
  must_run_in(lab.node, {"nft", "-f", "-"}, listed);
  CHECK(table_of(lab.node) == before);
  CHECK(on.invoke(on.command("diff")).status == 0);
  off.apply();
  CHECK(table_of(lab.node) == plain);
  ask_many(conversation, "pod-a");
  CHECK(eventually([&] { return offloaded(lab.node) == 0; }));
  on.apply();
  CHECK(on.invoke({"cleanup"}).status == 0);
  CHECK(must_run_in(lab.node, {"nft", "list", "ruleset"}).find("kubenatd") == std::string::npos);
}

}  // namespace
}  // namespace kubenatd::test
