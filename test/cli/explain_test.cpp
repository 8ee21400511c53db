#include <catch2/catch.hpp>
#include <cstdio>

#include "test/support/cluster.h"
#include "test/support/lab.h"

namespace kubenatd::test {
namespace {

ServiceSpec web() {
  ServiceSpec service;
  service.name = "web";
  service.cluster_ips = {"10.96.0.80"};
  service.type = "NodePort";
  service.ports = {{.name = "http", .protocol = "TCP", .port = 80, .target = 8080, .node_port = 30080}};
  return service;
}

/// What stands around the rules counts, too: the node needs a way out.
void connect(const BareNode& bare) {
  must_run_in(bare.node, {"ip", "route", "replace", "default", "via", "192.168.77.9"});
}

bool has(const ProcessResult& result, const std::string& part) {
  return result.out.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("explain --live walks what the kernel has, with counters, and names what is wrong") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  connect(bare);
  Manifests manifests;
  manifests.put(web(), ready({"10.244.1.5", "10.244.2.7"}));
  const Agent agent(bare.node, manifests);
  agent.apply();
  const auto explain = [&](const std::vector<std::string>& words) {
    auto arguments = agent.command("explain");
    arguments.insert(arguments.end(), words.begin(), words.end());
    return agent.invoke(arguments);
  };

  auto answer = explain({"node:30080"});
  INFO(answer.describe());
  CHECK(answer.status == 0);
  CHECK(has(answer, "NodePort of demo/web:http"));
  CHECK(has(answer, "rules       live"));
  CHECK(has(answer, "10.244.1.5:8080"));
  CHECK(has(answer, "10.244.2.7:8080"));
  CHECK(has(answer, "packets]"));
  CHECK(has(answer, "masquerade"));
  CHECK(answer.out.find('\x1b') == std::string::npos);

  must_run_in(bare.node, {"iptables", "-t", "nat", "-F", "KUBE-NODEPORTS"});
  must_run_in(bare.node, {"iptables", "-I", "INPUT", "-p", "tcp", "--dport", "30080", "-j", "DROP"});
  answer = explain({"node:30080"});
  INFO(answer.describe());
  CHECK(answer.status == 1);
  CHECK(has(answer, "(rules-differ)"));
  CHECK(has(answer, "+ nat -A KUBE-NODEPORTS"));
  CHECK(has(answer, "(foreign-rule)"));
  CHECK(has(answer, "timeout"));

  // Desired rules know nothing of that.
  answer = explain({"node:30080", "--desired"});
  CHECK(answer.status == 0);
  CHECK(has(answer, "rules       desired"));

  // And from a text, without rights and without objects.
  const TempFolder folder;
  const auto file = folder.write("save", must_run_in(bare.node, {"iptables-save"}));
  answer =
      agent.invoke({"explain", "10.96.0.80:80", "--from-save", file.string(), "--from", "10.244.1.9", "-o", "json"});
  INFO(answer.describe());
  CHECK(answer.status == 0);
  CHECK(has(answer, "\"schema\": \"kubenatd.explain/v1\""));
  CHECK(has(answer, "\"name\": \"demo/web:http\""));
}

TEST_CASE("explain --live in nftables mode looks up what the kernel has, and names what is wrong") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  connect(bare);
  Manifests manifests;
  ServiceSpec sticky{.name = "sticky", .cluster_ips = {"10.96.0.81"}, .affinity_seconds = 60};
  manifests.put(web(), ready({"10.244.1.5", "10.244.2.7"}));
  manifests.put(sticky, ready({"10.244.1.5"}));
  const Agent agent(bare.node, manifests, "mode: nftables\n");
  const auto explain = [&](const std::vector<std::string>& words) {
    auto arguments = agent.command("explain");
    arguments.insert(arguments.end(), words.begin(), words.end());
    return agent.invoke(arguments);
  };
  auto answer = explain({"10.96.0.80:80"});
  INFO(answer.describe());
  CHECK(answer.status == 1);  // nothing is there yet
  CHECK(has(answer, "(rules-differ)"));

  agent.apply();
  answer = explain({"node:30080"});
  INFO(answer.describe());
  CHECK(answer.status == 0);
  CHECK(has(answer, "NodePort of demo/web:http"));
  CHECK(has(answer, "rules       live"));
  CHECK(has(answer, "@nodeports tcp . 30080"));
  CHECK(has(answer, "@nodeport-endpoints tcp . 30080 . 7f02:0"));
  CHECK(has(answer, "10.244.2.7:8080"));
  CHECK(has(answer, "it comes in from outside"));
  CHECK(explain({"10.96.0.81:80", "--live"}).status == 0);

  // Another order of endpoints than a new start would choose is as right.
  manifests.put(web(), ready({"10.244.1.4", "10.244.2.7"}));
  agent.apply();
  CHECK(explain({"10.96.0.80:80", "--live"}).status == 0);

  const std::string endpoint = "10.96.0.80 . tcp . 80 . 7f00:1";
  must_run_in(bare.node, {"nft", "delete element ip kubenatd endpoints { " + endpoint + " }"});
  answer = explain({"10.96.0.80:80", "--live", "-o", "json"});
  INFO(answer.describe());
  CHECK(answer.status == 1);
  CHECK(has(answer, "\"code\": \"rules-differ\""));
  CHECK(has(answer, "\"chain\": \"@endpoints\""));
  CHECK(has(answer, "\"what\": \"missing\""));
  must_run_in(bare.node, {"nft", "flush chain ip kubenatd services"});
  must_run_in(bare.node, {"nft", "insert rule ip kubenatd nat-prerouting tcp dport 30080 accept"});
  answer = explain({"node:30080"});
  INFO(answer.describe());
  CHECK(answer.status == 1);
  CHECK(has(answer, "+ kubenatd services "));
  CHECK(has(answer, "- kubenatd nat-prerouting tcp dport 30080 accept"));

  answer = explain({"node:30080", "--desired"});
  CHECK(answer.status == 0);
  CHECK(has(answer, "rules       desired"));
  CHECK(has(answer, "@nodeports tcp . 30080"));
}

TEST_CASE("explain: usage, and sources that give nothing") {
  const Manifests manifests;
  const TempFolder folder;
  const std::string binary = install_binary(folder);
  const auto status = [&](const std::vector<std::string>& words) {
    std::vector<std::string> arguments{binary, "explain"};
    arguments.insert(arguments.end(), words.begin(), words.end());
    return run(arguments).status;
  };
  const std::vector<std::string> source{"--manifests", manifests.path(), "--desired"};
  CHECK(status({"10.96.0.80", source[0], source[1], source[2]}) == 2);
  CHECK(status({source[0], source[1]}) == 2);
  CHECK(status({"10.96.0.80:80", "--desired", "--live", source[0], source[1]}) == 2);
  CHECK(status({"10.96.0.80:80", "--from-save", (folder.path() / "none").string()}) == 3);
  CHECK(status({"10.96.0.80:80", "--from-save", folder.write("empty", "").string()}) == 3);
  CHECK(status({"node:80", "--from-save", folder.write("save", "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n").string(),
                "--node-address", "nowhere"}) == 3);
  CHECK(status({"10.96.0.80:80", source[0], source[1], source[2]}) == 1);
}

}  // namespace kubenatd::test
