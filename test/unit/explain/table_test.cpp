#include "test/unit/explain/explain_support.h"

/// explain in nftables mode.
namespace kubenatd::agent::test {
namespace {

World world(const std::string& manifests) {
  return World(manifests, config::Config::Mode::kNftables);
}

std::string both_pods() {
  return pod("web-1", "web", "10.244.1.5", true) + pod("web-2", "web", "10.244.2.7", true, "node-2");
}

/// "chain: rule (why)" of the first step that has the words.
std::string step(const std::vector<explain::PathStep>& steps, const std::string& words) {
  for (const explain::PathStep& one : steps) {
    std::string text = one.chain + ": " + one.rule + " (" + one.why + ")";
    if (text.find(words) != std::string::npos) return text;
  }
  return "none";
}

double total(const explain::Answer& answer) {
  double sum = 0;
  for (const explain::PathEnd& end : answer.ends) sum += end.remembered ? 0 : end.odds;
  return sum;
}

}  // namespace

TEST_CASE("explain in nftables mode: a ClusterIP, with the elements that were found") {
  const World cluster = world(web() + both_pods());
  const explain::Answer answer = cluster.ask("10.96.0.80:80", "10.244.1.9");
  CHECK(answer.subject.kind == explain::Subject::Kind::kClusterIp);
  CHECK(problem(answer) == "none");
  CHECK(answer.client.code == "answer");
  REQUIRE(answer.ends.size() == 2);
  CHECK(total(answer) == Approx(1));
  CHECK(answer.ends[0].odds == Approx(0.5).margin(0.02));
  CHECK(answer.ends[0].who == "pod demo/web-1 on this node");
  CHECK(answer.ends[1].who == "pod demo/web-2 on node-2");
  CHECK(answer.masquerade.empty());
  CHECK(step(answer.steps, "@cluster-ips") ==
        "services: ip daddr @cluster-ips goto cluster-ip (@cluster-ips 10.96.0.80)");
  CHECK(step(answer.ends[1].steps, "@endpoints")
            .find("by chance; @endpoints 10.96.0.80 . tcp . 80 . 7f00:1 : 10.244.2.7 . 8080") != std::string::npos);
  CHECK(to_text(answer, false).find("→ kubenatd services") != std::string::npos);
  CHECK(to_json(answer).find("\"table\": \"kubenatd\"") != std::string::npos);
}

TEST_CASE("explain in nftables mode: why a connection is masqueraded") {
  const World cluster = world(web("  type: NodePort\n") + pod("web-1", "web", "10.244.1.5", true));
  CHECK(cluster.ask("10.96.0.80:80", "10.244.1.5").masquerade.find("speak to itself") != std::string::npos);
  CHECK(cluster.ask("10.96.0.80:80").masquerade.find("not known as a pod") != std::string::npos);
  CHECK(cluster.ask("node:30080").masquerade.find("from outside") != std::string::npos);
  CHECK(cluster.ask("10.96.0.80:80", "10.244.1.9").masquerade.empty());
  CHECK(cluster.ask("node:30080").ends.size() == 1);
}

TEST_CASE("explain in nftables mode: the odds of many endpoints are those of all draws together") {
  for (const int count : {3, 5, 17, 40, 70}) {
    std::string pods;
    for (int i = 0; i < count; ++i)
      pods += pod("web-" + std::to_string(i), "web", "10.244.1." + std::to_string(i + 1), true);
    const World cluster = world(web() + pods);
    const explain::Answer answer = cluster.ask("10.96.0.80:80", "10.244.1.250");
    INFO(count);
    REQUIRE(answer.ends.size() == static_cast<std::size_t>(count));
    CHECK(total(answer) == Approx(1));
    for (const explain::PathEnd& end : answer.ends) CHECK(end.odds == Approx(1.0 / count).epsilon(0.05));
  }
}

TEST_CASE("explain in nftables mode: nobody to give the connection to") {
  const World none = world(web("  type: NodePort\n") + pod("web-1", "web", "10.244.1.5", false));
  explain::Answer answer = none.ask("10.96.0.80:80");
  CHECK(problem(answer) == "no-ready-endpoint: pod demo/web-1: its condition Ready is not True");
  CHECK(answer.client.code == "refused");
  CHECK(step(answer.steps, "@no-endpoints 10.96.0.80").find("reject") != std::string::npos);
  CHECK(none.ask("node:30080").client.code == "refused");

  const World other = world(web() + both_pods());
  CHECK(other.ask("10.96.0.80:81").client.code == "refused");
  CHECK(problem(other.ask("10.96.0.80:81")).starts_with("port-not-in-service"));
  CHECK(other.ask("10.96.0.99:80").client.code == "timeout");
  CHECK(problem(other.ask("10.96.0.99:80")) == "address-not-a-service");
  CHECK(other.ask("203.0.113.1:80").client.code == "not-here");
}

TEST_CASE("explain in nftables mode: traffic policy Local") {
  const std::string local = web("  type: NodePort\n  externalTrafficPolicy: Local\n");
  const World cluster = world(local + both_pods());
  explain::Answer answer = cluster.ask("node:30080");
  REQUIRE(answer.ends.size() == 1);
  CHECK(answer.ends[0].destination.to_string() == "10.244.1.5");
  CHECK(answer.masquerade.empty());
  CHECK(cluster.ask("node:30080", "10.244.1.9").ends.size() == 2);
  answer = cluster.ask("node:30080", "node");
  CHECK(answer.ends.size() == 2);
  CHECK(answer.masquerade.find("the node itself") != std::string::npos);

  const World remote = world(local + pod("web-2", "web", "10.244.2.7", true, "node-2"));
  answer = remote.ask("node:30080");
  CHECK(answer.client.code == "timeout");
  CHECK(problem(answer).starts_with("local-policy-without-local-endpoint"));
}

TEST_CASE("explain in nftables mode: source ranges") {
  const World cluster = world(web("  type: LoadBalancer\n  loadBalancerSourceRanges: [198.51.100.0/24]\n", "http",
                                  "status: {loadBalancer: {ingress: [{ip: 203.0.113.80}]}}\n") +
                              both_pods());
  explain::Answer answer = cluster.ask("203.0.113.80:80");
  CHECK(problem(answer).starts_with("source-not-in-ranges"));
  CHECK(answer.client.code == "timeout");
  answer = cluster.ask("203.0.113.80:80", "198.51.100.7");
  CHECK(problem(answer) == "none");
  CHECK(answer.client.code == "answer");
  CHECK(step(answer.steps, "@source-ranges 203.0.113.80 . tcp . 80 . 198.51.100.0/24").find("does not apply") !=
        std::string::npos);
}

TEST_CASE("explain in nftables mode: session affinity") {
  const World cluster = world(web("  sessionAffinity: ClientIP\n") + both_pods());
  const explain::Answer answer = cluster.ask("10.96.0.80:80", "10.244.1.9");
  REQUIRE(answer.ends.size() == 4);
  CHECK(total(answer) == Approx(1));
  CHECK(std::ranges::count_if(answer.ends, &explain::PathEnd::remembered) == 2);
  CHECK(to_text(answer, false).find("goes there again") != std::string::npos);
}

TEST_CASE("explain in nftables mode: a hostPort") {
  const World cluster =
      world(pod("door", "door", "10.244.1.8", true, "node-1", "{name: http, containerPort: 8080, hostPort: 8088}"));
  const explain::Answer answer = cluster.ask("node:8088");
  CHECK(answer.subject.kind == explain::Subject::Kind::kHostPort);
  CHECK(problem(answer) == "none");
  REQUIRE(answer.ends.size() == 1);
  CHECK(answer.ends[0].destination.to_string() == "10.244.1.8");
  CHECK(step(answer.steps, "@hostports").find("tcp . 8088") != std::string::npos);
}

TEST_CASE("explain in nftables mode: what differs on the path") {
  World cluster = world(web("  type: NodePort\n") + both_pods());
  cluster.context.desired = cluster.context.rules;
  cluster.context.source = "live";
  auto& table = cluster.context.rules.table(rules::walk::TableFamily::kIp, "kubenatd");
  CHECK(cluster.ask("10.96.0.80:80").differences.empty());

  table.sets.find("cluster-ips")->second.elements.clear();
  explain::Answer answer = cluster.ask("10.96.0.80:80");
  CHECK(problem(answer) == "rules-differ");
  REQUIRE(answer.differences.size() == 1);
  CHECK(answer.differences[0].sign == '+');
  CHECK(answer.differences[0].chain == "@cluster-ips");
  CHECK(answer.differences[0].rule == "10.96.0.80");
  CHECK(answer.client.code == "timeout");  // as any address of the range that no Service has
  CHECK(to_text(answer, false).find("+ kubenatd @cluster-ips 10.96.0.80") != std::string::npos);
  CHECK(cluster.ask("node:30080").differences.empty());

  table.chains.find("nodeport")->second.rules[0] = {
      .statements = {rules::walk::OtherTarget{"a target of another kernel"}},
      .text = "a target of another kernel",
      .comment = {},
      .model = {},
      .handle = 0,
      .counters = {}};
  answer = cluster.ask("node:30080");
  CHECK(answer.differences.size() == 2);
  CHECK(finding(answer, "not-judged") != nullptr);
  CHECK(answer.client.code != "answer");

  cluster.context.rules = {};
  answer = cluster.ask("node:30080");
  CHECK(answer.client.code == "local");
  CHECK(problem(answer) == "rules-differ");
}

}  // namespace kubenatd::agent::test
