#include <signal.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "test/support/cluster.h"
#include "test/support/lab.h"
#include "test/support/linux_release.h"
#include "test/support/traffic.h"

namespace kubenatd::test {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

/// 10.96.0.80:80 and node port 30080, served by pod_a on the node.
ServiceSpec web() {
  ServiceSpec service;
  service.name = "web";
  service.cluster_ips = {"10.96.0.80"};
  service.type = "NodePort";
  service.ports = {{.name = "http", .protocol = "TCP", .port = 80, .target = 8080, .node_port = 30080}};
  return service;
}

bool has(const ProcessResult& result, const std::string& part) {
  return result.out.find(part) != std::string::npos;
}

std::vector<std::string> words(const Agent& agent, const std::vector<std::string>& more) {
  auto arguments = agent.command("trace");
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::string tables(const Namespace& node) {
  return must_run_in(node, {"nft", "list", "tables"});
}

/// A trace that runs beside what the test does: it is there when this is made.
class Running {
 public:
  Running(const Lab& lab, const Agent& agent, const std::vector<std::string>& more)
      : lab_(lab), child_(command(agent, more), on(lab.node)) {
    REQUIRE(eventually([&] { return tables(lab_.node).find("kubenatd-trace") != std::string::npos; }, 30s));
  }
  ProcessResult result() {
    const auto result = child_.wait(60s);
    REQUIRE(result);
    return *result;
  }
  [[nodiscard]] const Child& child() const { return child_; }

 private:
  static ProcessOptions on(const Namespace& node) {
    ProcessOptions options;
    options.namespace_fd = node.fd();
    return options;
  }
  std::vector<std::string> command(const Agent& agent, const std::vector<std::string>& more) {
    std::vector<std::string> all{install_binary(folder_)};
    const auto arguments = words(agent, more);
    all.insert(all.end(), arguments.begin(), arguments.end());
    return all;
  }

  const Lab& lab_;
  TempFolder folder_;
  Child child_;
};

/// The hop through a chain, anywhere in a packet.
const Json* step_in(const Json& packet, const std::string& chain) {
  for (const Json& hop : packet["hops"])
    for (const Json& step : hop["steps"])
      if (step["chain"] == chain) return &step;
  return nullptr;
}

void trace_both_ways(const std::string& mode) {
  const Lab lab;
  Manifests manifests;
  manifests.put(web(), ready({kPodA}));
  const Agent agent(lab.node, manifests, mode);
  agent.apply();
  const std::string rules_before = must_run_in(lab.node, {"nft", "-s", "list", "ruleset"});
  const bool is_nftables = !mode.empty();

  // The node itself asks.
  auto result = agent.invoke(words(agent, {"10.96.0.80:80", "--connect"}));
  INFO(result.describe());
  CHECK(result.status == 0);
  CHECK(has(result, "ClusterIP of demo/web:http"));
  CHECK(has(result, "connected"));
  CHECK(has(result, "packet 1 of 5"));
  CHECK(has(result, "SYN"));
  CHECK(has(result, is_nftables ? "ip kubenatd services" : "ip nat KUBE-SERVICES"));
  CHECK(has(result, "10.244.1.5:8080"));
  CHECK(has(result, "as predicted: 10.244.1.5:8080"));
  CHECK(has(result, "answer"));
  CHECK(tables(lab.node).find("kubenatd-trace") == std::string::npos);
  CHECK(must_run_in(lab.node, {"nft", "-s", "list", "ruleset"}) == rules_before);

  // A client asks a node port: two connections, each joined with its answers.
  {
    Running running(lab, agent, {"node:30080", "--packets", "2", "--for", "60s", "-o", "json"});
    CHECK(ask(lab.client, Transport::kTcp, kNode, 30080).answered());
    CHECK(ask(lab.client, Transport::kTcp, kNode, 30080).answered());
    result = running.result();
    INFO(result.describe());
    CHECK(result.status == 0);
    const Json json = Json::parse(result.out);
    CHECK(json["schema"] == "kubenatd.trace/v1");
    CHECK(json["conclusion"] == "as-predicted");
    CHECK(json["counters"]["packets"] == 2);
    const Json& first = json["packets"][0];
    CHECK(first["direction"] == "original");
    CHECK(first["first"]["source"] == kClient);
    CHECK(first["in"] == "eth0");
    CHECK(first["last"]["destination"] == kPodA);
    CHECK(first["last"]["source"] == kPodGateway);  // masqueraded
    CHECK(first["end"]["end"] == "forwarded");
    CHECK(first["end"]["out"] == "vetha");
    CHECK(first["compared"]["outcome"] == "as-predicted");
    const Json* dispatch = step_in(first, is_nftables ? "services" : "KUBE-NODEPORTS");
    REQUIRE(dispatch != nullptr);
    CHECK(dispatch->value("handle", 0) > 0);
    CHECK_FALSE(dispatch->value("rule", "").empty());
    const bool answered = std::ranges::any_of(json["packets"], [](const Json& packet) {
      return packet["direction"] == "reply" && packet["connection"] == 1 && packet["first"]["source"] == kPodA &&
             packet["last"]["source"] == kNode && packet["last"]["destination"] == kClient;
    });
    CHECK(answered);
  }

  // A rule of somebody else, in a table of somebody else: it is shown, and explain knows it too, or says that it does
  // not know.
  must_run_in(lab.node, {"nft", "add table inet other"});
  must_run_in(lab.node, {"nft", "add chain inet other guard { type filter hook forward priority 5; }"});
  must_run_in(lab.node, {"nft", "add rule inet other guard ip daddr 10.244.1.5 drop"});
  {
    Running running(lab, agent, {"node:30080", "--packets", "1", "--for", "60s", "-o", "json"});
    CHECK(is_silent(lab.client, Transport::kTcp, kNode, 30080));
    result = running.result();
    INFO(result.describe());
    const Json json = Json::parse(result.out);
    const Json& packet = json["packets"][0];
    CHECK(packet["end"]["end"] == "dropped");
    const Json* drop = step_in(packet, "guard");
    REQUIRE(drop != nullptr);
    CHECK((*drop)["verdict"] == "drop");
    CHECK(packet["hops"].back()["table"] == "other");
    CHECK(packet["hops"].back()["family"] == "inet");
  }
}

}  // namespace

TEST_CASE("trace shows what real packets meet beside what explain predicts", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  trace_both_ways("");
}

TEST_CASE("trace in nftables mode shows what real packets meet beside what explain predicts") {
  KUBENATD_NEEDS_NAMESPACES();
  trace_both_ways("mode: nftables\n");
}

TEST_CASE("trace shows a drop by a rule of iptables that is not kubenatd's with its text", "[iptables]") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  Manifests manifests;
  manifests.put(web(), ready({kPodA}));
  const Agent agent(lab.node, manifests);
  agent.apply();
  must_run_in(lab.node, {"iptables", "-I", "OUTPUT", "-p", "tcp", "--dport", "8080", "-j", "DROP"});
  const auto result = agent.invoke(words(agent, {"10.96.0.80:80", "--connect", "--packets", "1"}));
  INFO(result.describe());
  CHECK(has(result, "dropped by ip filter OUTPUT"));
  CHECK(has(result, "--dport 8080 -j DROP"));
  // That is what explain says, too.
  CHECK(result.status == 0);
  CHECK(has(result, "as predicted: dropped"));
}

TEST_CASE("trace ends cleanly when it is stopped or killed and says when nothing came") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  Manifests manifests;
  manifests.put(web(), ready({kPodA}));
  const Agent agent(lab.node, manifests);
  agent.apply();
  {
    Running running(lab, agent, {"10.96.0.80:80", "--for", "1h"});
    running.child().signal(SIGINT);
    const auto result = running.result();
    INFO(result.describe());
    CHECK(result.status == 3);
    CHECK(has(result, "(nothing-seen)"));
    CHECK(has(result, "10.244.1.5:8080"));  // what explain says is told all the same
    CHECK(tables(lab.node).find("kubenatd-trace") == std::string::npos);
  }
  {
    Running running(lab, agent, {"10.96.0.80:80", "--for", "1h"});
    // A second one has to wait.
    const auto second = agent.invoke(words(agent, {"10.96.0.80:80", "--for", "100ms"}));
    CHECK(second.status == 3);
    // Before Linux 5.12 tables have no owner.
    if (linux_is_from(5, 12)) CHECK(second.err.find("another process traces") != std::string::npos);
    running.child().signal(SIGKILL);
    CHECK(running.result().status == 256 + SIGKILL);
    CHECK(eventually([&] { return tables(lab.node).find("kubenatd-trace") == std::string::npos; }));
  }
}

TEST_CASE("A running kubenatd does nothing because of a trace") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  Manifests manifests;
  manifests.put(web(), ready({kPodA}));
  const Agent agent(lab.node, manifests);
  agent.apply();
  Child daemon = agent.start();
  REQUIRE(eventually([&] { return daemon.err().find("ready") != std::string::npos; }, 30s));
  // Rounds that changed or looked at the kernel are told.
  const std::string before = daemon.err();
  const unsigned generation = nf_tables_generation(lab.node);
  const auto result = agent.invoke(words(agent, {"10.96.0.80:80", "--connect"}));
  INFO(result.describe());
  CHECK(result.status == 0);
  // The table came and went: two transactions, and none of anybody else.
  CHECK(nf_tables_generation(lab.node) == generation + 2);
  CHECK(daemon.err() == before);
}

TEST_CASE("trace: usage") {
  const Manifests manifests;
  const TempFolder folder;
  const std::string binary = install_binary(folder);
  const auto status = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{binary, "trace", "--manifests", manifests.path()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments).status;
  };
  CHECK(status({}) == 2);
  CHECK(status({"10.96.0.80"}) == 2);
  CHECK(status({"10.96.0.80:80", "--for", "soon"}) == 2);
  CHECK(status({"10.96.0.80:80", "--for", "0s"}) == 2);
  CHECK(status({"10.96.0.80:80", "--for", "2h"}) == 2);
  CHECK(status({"10.96.0.80:80", "--packets", "0"}) == 2);
  CHECK(status({"10.96.0.80:80", "--from", "somebody"}) == 2);
  CHECK(status({"10.96.0.80:80", "--connect", "--from", "192.0.2.1"}) == 2);
  CHECK(status({"http://nowhere.example/"}) == 3);
}

}  // namespace kubenatd::test
