#include "test/unit/explain/explain_support.h"

namespace kubenatd::agent::test {

TEST_CASE("explain: a ClusterIP that works") {
  const World world(web() + pod("web-1", "web", "10.244.1.5", true) +
                    pod("web-2", "web", "10.244.2.7", true, "node-2"));
  const explain::Answer answer = world.ask("10.96.0.80:80", "10.244.1.9");
  CHECK(answer.subject.kind == explain::Subject::Kind::kClusterIp);
  CHECK(answer.subject.name == "demo/web:http");
  CHECK(problem(answer) == "none");
  CHECK(answer.client.code == "answer");
  REQUIRE(answer.ends.size() == 2);
  CHECK(answer.ends[0].odds == Approx(0.5));
  CHECK(answer.ends[0].who == "pod demo/web-1 on this node");
  CHECK(answer.ends[1].who == "pod demo/web-2 on node-2");
  CHECK(answer.masquerade.empty());
}

TEST_CASE("explain: why a connection is masqueraded") {
  const World world(web("  type: NodePort\n") + pod("web-1", "web", "10.244.1.5", true));
  CHECK(world.ask("10.96.0.80:80", "10.244.1.5").masquerade.find("speak to itself") != std::string::npos);
  CHECK(world.ask("10.96.0.80:80").masquerade.find("not known as a pod") != std::string::npos);
  CHECK(world.ask("node:30080").masquerade.find("from outside") != std::string::npos);
  CHECK(world.ask("10.96.0.80:80", "10.244.1.9").masquerade.empty());
}

TEST_CASE("explain: no ready endpoint, with the reason of each pod") {
  const World world(web() + pod("web-1", "web", "10.244.1.5", false) + pod("web-2", "web", "10.244.1.6", false));
  const explain::Answer answer = world.ask("10.96.0.80:80");
  CHECK(
      problem(answer) ==
      "no-ready-endpoint: pod demo/web-1: its condition Ready is not True, pod demo/web-2: its condition Ready is not "
      "True");
  CHECK(answer.client.code == "refused");
}

TEST_CASE("explain: some endpoints are not ready") {
  const World world(web() + pod("web-1", "web", "10.244.1.5", true) + pod("web-2", "web", "10.244.1.6", false));
  const explain::Answer answer = world.ask("10.96.0.80:80");
  CHECK(problem(answer) == "none");
  REQUIRE(finding(answer, "some-endpoints-not-ready") != nullptr);
  CHECK(answer.client.code == "answer");
}

TEST_CASE("explain: a selector that matches nothing") {
  const World world(web() + pod("web-1", "wep", "10.244.1.5", true));
  const explain::Answer answer = world.ask("10.96.0.80:80");
  CHECK(problem(answer) == "selector-matches-nothing");
  CHECK(finding(answer, "selector-matches-nothing")->text.find("app=web") != std::string::npos);
  CHECK(answer.client.code == "refused");
}

TEST_CASE("explain: a port name that no pod and no slice has") {
  const World pods(web("", "web") + pod("web-1", "web", "10.244.1.5", true));
  CHECK(problem(pods.ask("10.96.0.80:80")) ==
        "port-name-mismatch: pod demo/web-1 has container port \"http\" 8080/tcp");

  const World slices(web() +
                     "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\nmetadata:\n"
                     "  name: web-1\n  namespace: demo\n  labels: {kubernetes.io/service-name: web}\n"
                     "ports: [{name: other, port: 8080}]\nendpoints: [{addresses: [10.244.1.5]}]\n");
  CHECK(problem(slices.ask("10.96.0.80:80")) ==
        "port-name-mismatch: EndpointSlice demo/web-1 has port \"other\" 8080/tcp");
}

TEST_CASE("explain: policy Local without a local endpoint") {
  const World world(web("  type: NodePort\n  externalTrafficPolicy: Local\n  internalTrafficPolicy: Local\n") +
                    pod("web-1", "web", "10.244.2.7", true, "node-2"));
  const explain::Answer outside = world.ask("node:30080");
  CHECK(problem(outside) == "local-policy-without-local-endpoint: 10.244.2.7:8080 on node-2");
  CHECK(outside.client.code == "timeout");
  CHECK(problem(world.ask("10.96.0.80:80", "10.244.1.5")) ==
        "local-policy-without-local-endpoint: 10.244.2.7:8080 on node-2");
}

TEST_CASE("explain: a source outside loadBalancerSourceRanges") {
  const World world(web("  type: LoadBalancer\n  loadBalancerSourceRanges: [198.51.100.0/24]\n", "http",
                        "status: {loadBalancer: {ingress: [{ip: 203.0.113.80}]}}\n") +
                    pod("web-1", "web", "10.244.1.5", true));
  const explain::Answer refused = world.ask("203.0.113.80:80", "192.0.2.9");
  CHECK(refused.subject.kind == explain::Subject::Kind::kLoadBalancerIp);
  CHECK(problem(refused) == "source-not-in-ranges: 198.51.100.0/24");
  CHECK(refused.client.code == "timeout");
  CHECK(problem(world.ask("203.0.113.80:80", "198.51.100.9")) == "none");
}

TEST_CASE("explain: wrong port, wrong address, a Service that no rules are made for") {
  const World world(web() + pod("web-1", "web", "10.244.1.5", true) +
                    "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: other\n  namespace: demo\n"
                    "  labels: {service.kubernetes.io/service-proxy-name: x}\nspec:\n  clusterIP: 10.96.0.90\n"
                    "  ports: [{port: 80}]\n");
  CHECK(problem(world.ask("10.96.0.80:81")) == "port-not-in-service: 80/tcp http");
  CHECK(problem(world.ask("10.96.0.80:80/udp")) == "port-not-in-service: 80/tcp http");
  CHECK(problem(world.ask("10.96.0.81:80")) == "address-not-a-service");
  CHECK(problem(world.ask("10.96.0.90:80")) == "service-without-rules");
  CHECK(world.ask("10.96.0.81:80").client.code == "not-here");
  CHECK(problem(world.ask("10.244.1.5:8080")) == "none");
  CHECK(world.ask("10.244.1.5:8080").client.code == "answer");
  const explain::Answer node = world.ask("node:9");
  CHECK(problem(node) == "none");
  CHECK(finding(node, "port-not-served") != nullptr);
  CHECK(node.client.code == "local");
}

TEST_CASE("explain: hostPorts that have no rule, or two claimants") {
  const std::string port = "{name: http, containerPort: 8080, hostPort: 8443}";
  World world(pod("a", "a", "10.244.1.5", true, "node-1", port) + pod("b", "b", "10.244.1.6", true, "node-1", port) +
              pod("c", "c", "10.244.2.7", true, "node-2", port));
  // Rules without hostPorts, as on a node where nobody makes them.
  world.context.rules = {};
  const explain::Answer answer = world.ask("node:8443");
  CHECK(answer.subject.kind == explain::Subject::Kind::kHostPort);
  CHECK(problem(answer) == "host-port-claimed-twice: pod demo/b | host-port-withheld");
  CHECK(answer.client.code == "refused");
}

TEST_CASE("explain: a rule that is missing, one that is too much") {
  World world(web() + pod("web-1", "web", "10.244.1.5", true));
  std::string text = world.saved;
  const auto at = text.find("-A KUBE-SERVICES -d 10.96.0.80/32 -p tcp");
  REQUIRE(at != std::string::npos);
  text.erase(at, text.find('\n', at) + 1 - at);
  text.insert(text.find("-A KUBE-SERVICES"), "-A KUBE-SERVICES -d 10.96.0.80/32 -j RETURN\n");
  world.replace_rules(text);
  const explain::Answer answer = world.ask("10.96.0.80:80");
  CHECK(problem(answer) == "rules-differ");
  REQUIRE(answer.differences.size() == 2);
  CHECK(answer.differences[0].sign == '+');
  CHECK(answer.differences[0].chain == "KUBE-SERVICES");
  CHECK(answer.differences[1].sign == '-');
  CHECK(answer.differences[1].rule == "-d 10.96.0.80/32 -j RETURN");
  CHECK(answer.client.code == "not-here");
}

TEST_CASE("explain: a foreign rule that comes earlier, drops, or cannot be judged") {
  const std::string objects = web() + pod("web-1", "web", "10.244.1.5", true);
  const auto ask_with = [&](const std::string& before, const std::string& rule) {
    World world(objects);
    world.insert_rule(before, rule);
    return world.ask("10.96.0.80:80", "10.244.1.9");
  };
  const explain::Answer shadowed = ask_with("-A PREROUTING", "-A PREROUTING -d 10.96.0.0/16 -p tcp -j ACCEPT");
  CHECK(problem(shadowed) == "shadowed: nat PREROUTING: -d 10.96.0.0/16 -p tcp -j ACCEPT");
  const explain::Answer dropped = ask_with("-A FORWARD", "-A FORWARD -s 10.244.1.9/32 -j DROP");
  CHECK(problem(dropped) == "foreign-rule: filter FORWARD: -s 10.244.1.9/32 -j DROP");
  CHECK(dropped.client.code == "timeout");
  const explain::Answer doubted = ask_with("-A FORWARD", "-A FORWARD -m limit --limit 3/min -j DROP");
  CHECK(problem(doubted) == "none");
  REQUIRE(finding(doubted, "not-judged") != nullptr);
  CHECK(doubted.client.code == "mixed");
  REQUIRE(doubted.ends.size() == 2);
  CHECK_FALSE(doubted.ends[0].odds_known);
  CHECK_FALSE(doubted.ends[1].odds_known);
  // However it is decided, the client sees the same.
  const explain::Answer passed = ask_with("-A FORWARD", "-A FORWARD -m limit --limit 3/min -j ACCEPT");
  CHECK(passed.client.code == "answer");
  REQUIRE(passed.ends.size() == 1);
  CHECK(passed.ends[0].odds_known);
  CHECK(finding(passed, "foreign-rule") == nullptr);
}

TEST_CASE("explain: rules alone, without any object") {
  const World world(web("  type: NodePort\n") + pod("web-1", "web", "10.244.1.5", true));
  explain::ExplainContext bare;
  bare.rules = read_rules(world.saved);
  bare.source = "saved";
  const auto question = explain::parse_question("10.96.0.80:80", "10.244.1.9");
  REQUIRE(question);
  const auto answer = explain::explain(bare, *question);
  REQUIRE(answer);
  CHECK(answer->subject.kind == explain::Subject::Kind::kClusterIp);
  CHECK(answer->subject.name == "demo/web:http");
  CHECK(answer->client.code == "answer");
  const auto node = explain::parse_question("node:30080", "");
  REQUIRE(node);
  CHECK_FALSE(explain::explain(bare, *node));
  bare.node_addresses = bare.surroundings.local = {rules::Address::parse("192.168.77.2").value()};
  const auto told = explain::explain(bare, *node);
  REQUIRE(told);
  CHECK(told->subject.kind == explain::Subject::Kind::kNodePort);
  CHECK(told->subject.name == "demo/web:http");
}

TEST_CASE("explain: who asks for what is the API server's or the node's, and does not get it") {
  const std::string api =
      "---\napiVersion: v1\nkind: Service\nmetadata: {name: kubernetes, namespace: default}\n"
      "spec: {clusterIP: 10.96.0.1, ports: [{name: https, port: 443, targetPort: 6443}]}\n"
      "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\nmetadata:\n"
      "  name: kubernetes\n  namespace: default\n  labels: {kubernetes.io/service-name: kubernetes}\n"
      "ports: [{name: https, port: 6443}]\nendpoints: [{addresses: [192.168.77.9]}]\n";
  const auto thief = [](const std::string& address, const std::string& ports) {
    return "---\napiVersion: v1\nkind: Service\nmetadata: {name: thief, namespace: attic}\n"
           "spec: {type: NodePort, clusterIP: 10.96.0.66, externalIPs: [" +
           address + "], ports: [" + ports + "]}\n";
  };
  const World world(
      api +
      thief("10.96.0.1, 192.168.77.9, 203.0.113.5", "{name: a, port: 443}, {name: b, port: 6443, nodePort: 10250}") +
      pod("ssh", "ssh", "10.244.1.5", true, "node-1", "{containerPort: 10256, hostPort: 10256}"));
  const auto withheld = [&](const std::string& asked) -> std::string {
    const auto answer = world.ask(asked);
    const auto* found = finding(answer, "frontend-withheld");
    CHECK(finding(answer, "service-without-rules") == nullptr);
    return found == nullptr ? "" : found->details.at(0);
  };
  // The API server's own ways go on, and who asks for them, too, is named.
  CHECK(withheld("10.96.0.1:443") == "Service attic/thief: it is the cluster IP of default/kubernetes");
  CHECK(withheld("192.168.77.9:6443") == "Service attic/thief: the API server answers there");
  CHECK(withheld("node:10250") == "Service attic/thief: the kubelet has that port");
  CHECK(withheld("node:10256") == "Pod demo/ssh: kubenatd's healthz has that port");
  // What it may have.
  CHECK(withheld("10.96.0.66:443").empty());
  CHECK(withheld("203.0.113.5:6443").empty());
}

}  // namespace kubenatd::agent::test
