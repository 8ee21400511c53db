#include "test/dataplane/sync_support.h"

namespace kubenatd::agent::test {
namespace {

/// Three services; web has two endpoints, a NodePort and affinity, idle has no endpoints. And rules of others all over.
std::vector<objects::ObjectEvent> objects() {
  objects::Service web = service("web", "10.96.0.1");
  web.ports[0].node_port = 30080;
  web.affinity_seconds = 60;
  objects::Service six = service("six", "fd00:10:96::1");
  return {put(web),
          put(slice("web", {"10.244.1.5", "10.244.2.7"})),
          put(service("api", "10.96.0.2")),
          put(slice("api", {"10.244.1.6"})),
          put(service("idle", "10.96.0.3")),
          put(six),
          put(slice("six", {"fd00:10:244:1::5"}))};
}

const std::vector<std::string> kForeign{
    "iptables -t nat -N OTHERS",
    "iptables -t nat -A OTHERS -d 172.17.0.2 -j RETURN",
    "iptables -t nat -A PREROUTING -d 172.17.0.0/16 -j OTHERS",
    "iptables -t nat -A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE",
    "iptables -A INPUT -p tcp --dport 22 -j ACCEPT",
    "iptables -A FORWARD -i docker0 -j ACCEPT",
    "iptables -P FORWARD DROP",
    "ip6tables -A INPUT -p tcp --dport 22 -j ACCEPT",
    "nft add table inet firewall",
    "nft add chain inet firewall input { type filter hook input priority 10 ; }",
};

/// The name of demo/NAME's chain of a kind in the IPv4 nat table, from the outside.
std::string chain_of(const std::string& prefix, const std::string& name) {
  for (const std::string& line : kubenatd::test::lines_of(must_run("iptables-save -t nat"))) {
    if (!line.starts_with("-A KUBE-SERVICES") || line.find("\"demo/" + name + " ") == std::string::npos) continue;
    const std::string chain = line.substr(line.rfind(' ') + 1);
    if (prefix == "KUBE-SVC-") return chain;
    for (const std::string& inner : kubenatd::test::lines_of(must_run("iptables-save -t nat")))
      if (inner.starts_with("-A " + chain) && inner.find(" -j " + prefix) != std::string::npos)
        return inner.substr(inner.rfind(' ') + 1);
  }
  FAIL("no chain " << prefix << " of " << name);
  return {};
}

}  // namespace

TEST_CASE("whatever others do to our chains and jumps is put right, and theirs stays", "[short]") {
  SYNC_TEST_WORLD();
  for (const std::string& command : kForeign) must_run(command);
  Agent agent;
  agent.apply(objects());
  const std::string right = saved();
  const std::string svc = chain_of("KUBE-SVC-", "web");
  const std::string sep = chain_of("KUBE-SEP-", "web");
  REQUIRE(has_line(right, "-A OTHERS"));

  const std::vector<std::vector<std::string>> edits{
      // Service chains.
      {"iptables -t nat -D " + svc + " 1"},
      {"iptables -t nat -I " + svc + " -j RETURN"},
      {"iptables -t nat -A " + svc + " -d 1.2.3.4 -j ACCEPT"},
      {"iptables -t nat -R " + svc + " 1 -j ACCEPT"},
      {"iptables -t nat -F " + svc},
      {"iptables -t nat -F " + sep},
      {"iptables -t nat -I " + sep + " 2 -s 1.2.3.4 -j ACCEPT"},
      {"iptables -t nat -D " + sep + " 1", "iptables -t nat -A " + sep + " -s 10.244.1.5/32 -j KUBE-MARK-MASQ"},
      {"iptables -t nat -F " + svc, "iptables -t nat -F " + sep},
      // Shared and fixed chains.
      {"iptables -t nat -D KUBE-SERVICES 1"},
      {"iptables -t nat -I KUBE-SERVICES 2 -j RETURN"},
      {"iptables -t nat -R KUBE-SERVICES 1 -d 10.96.0.99 -j RETURN"},
      {"iptables -t nat -F KUBE-SERVICES"},
      {"iptables -t nat -F KUBE-NODEPORTS"},
      {"iptables -F KUBE-SERVICES"},
      {"iptables -I KUBE-SERVICES -j ACCEPT"},
      {"iptables -t nat -F KUBE-MARK-MASQ"},
      {"iptables -t nat -R KUBE-POSTROUTING 1 -j RETURN"},
      {"iptables -F KUBE-FORWARD"},
      {"ip6tables -t nat -F KUBE-SERVICES"},
      // Chains of a kind that is ours and that nobody wants.
      {"iptables -t nat -N KUBE-SVC-AAAAAAAAAAAAAAAA"},
      {"iptables -t nat -N KUBE-SEP-AAAAAAAAAAAAAAAA", "iptables -t nat -N KUBE-SVC-BBBBBBBBBBBBBBBB",
       "iptables -t nat -A KUBE-SVC-BBBBBBBBBBBBBBBB -j KUBE-SEP-AAAAAAAAAAAAAAAA"},
      // Everything of a chain, with it and what points to it.
      {"iptables -t nat -F KUBE-SERVICES", "iptables -t nat -F KUBE-NODEPORTS", "iptables -t nat -F " + svc},
      // What iptables does not call a chain of its own.
      {"nft add rule ip nat " + svc + " ip saddr 1.2.3.4 counter accept"},
      {"nft insert rule ip nat KUBE-SERVICES meta mark 7 return"},
  };
  for (const auto& edit : edits) {
    for (const std::string& command : edit) must_run(command);
    INFO(edit.front());
    CHECK(agent.reconciler().handle_events());
    CHECK(agent.reconciler().due(dataplane::Reconciler::Clock::now() + std::chrono::minutes(1)));
    const dataplane::RoundReport report = agent.sync();
    CHECK(report.wrote());
    CHECK_FALSE(report.families.empty());
    CHECK(changed(right, saved()) == "");
    CHECK_FALSE(agent.sync().wrote());
  }
  CHECK_FALSE(agent.audit().wrote());
  check_no_difference(config(), objects());
}

TEST_CASE("a jump of ours that is gone comes back, also where others have rules") {
  SYNC_TEST_WORLD();
  for (const std::string& command : kForeign) must_run(command);
  Agent agent;
  agent.apply(objects());
  const std::string right = saved();
  for (const std::string line : {"-t nat -D PREROUTING -m comment --comment", "-t nat -D OUTPUT -m comment --comment",
                                 "-t nat -D POSTROUTING -m comment --comment"}) {
    std::vector<std::string> words{"iptables"};
    for (std::size_t at = 0; at < line.size();) {
      const std::size_t end = std::min(line.find(' ', at), line.size());
      words.push_back(line.substr(at, end - at));
      at = end + 1;
    }
    const bool post = line.find("POSTROUTING") != std::string::npos;
    words.emplace_back(post ? "kubernetes postrouting rules" : "kubernetes service portals");
    words.emplace_back("-j");
    words.emplace_back(post ? "KUBE-POSTROUTING" : "KUBE-SERVICES");
    must_run(words);
    CHECK(changed(right, saved()) != "");
    CHECK(agent.sync().wrote());
    CHECK(changed(right, saved()) == "");
  }
  // Flushing takes the others' rules along; ours come back.
  must_run("iptables -F INPUT");
  must_run("iptables -F FORWARD");
  CHECK(agent.sync().wrote());
  const std::string healed = saved();
  CHECK_FALSE(has_line(healed, "--dport 22 -j ACCEPT\n-A INPUT"));
  CHECK(has_line(healed, "-A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD"));
  CHECK(has_line(healed, ":FORWARD DROP"));
  check_no_difference(config(), objects());
}

TEST_CASE("rules of others in builtin chains, and their own chains, are left alone and wake nobody") {
  SYNC_TEST_WORLD();
  Agent agent;
  agent.apply(objects());
  for (const std::string& command : kForeign) must_run(command);
  must_run("iptables -t nat -I PREROUTING -d 172.18.0.0/16 -j RETURN");
  must_run("iptables -I INPUT -s 1.2.3.4 -j DROP");
  must_run("nft add table ip kubenatd-not-ours");
  // A name of our kind, but longer than any of ours can be: nobody's but theirs.
  must_run("nft add chain ip nat KUBE-SVC-A-NAME-THAT-IPTABLES-COULD-NOT-HAVE-GIVEN");
  const std::string right = saved();
  CHECK(agent.reconciler().handle_events());
  CHECK_FALSE(agent.reconciler().due(dataplane::Reconciler::Clock::now()));
  const std::uint32_t before = generation();
  CHECK_FALSE(agent.sync().wrote());
  CHECK_FALSE(agent.audit().wrote());
  CHECK(generation() == before);
  CHECK(changed(right, saved()) == "");
}

TEST_CASE("flushed and deleted tables come back whole") {
  SYNC_TEST_WORLD();
  Agent agent;
  agent.apply(objects());
  const std::string right = saved();
  const std::vector<std::vector<std::string>> ways{
      {"nft flush ruleset"},
      {"nft delete table ip nat"},
      {"nft delete table ip filter", "nft delete table ip6 filter"},
      {"nft flush table ip nat"},
      {"iptables -t nat -F", "iptables -t nat -X"},
      {"iptables -F", "iptables -X", "iptables -t nat -F", "iptables -t nat -X", "ip6tables -t nat -F"},
      {"nft flush ruleset", "iptables -t nat -N KUBE-SERVICES", "iptables -N KUBE-FORWARD"},
  };
  for (const auto& way : ways) {
    for (const std::string& command : way) must_run(command);
    INFO(way.front());
    const dataplane::RoundReport report = agent.sync();
    CHECK(report.wrote());
    CHECK_FALSE(healed_by(report).empty());
    CHECK(changed(right, saved()) == "");
    CHECK_FALSE(agent.sync().wrote());
  }
  check_no_difference(config(), objects());
}

TEST_CASE("objects that change while others edit: both come out right") {
  SYNC_TEST_WORLD();
  Agent agent;
  agent.apply(objects());
  const std::string svc = chain_of("KUBE-SVC-", "web");
  must_run("iptables -t nat -F " + svc);
  must_run("iptables -t nat -I KUBE-SERVICES -j RETURN");
  const objects::EndpointSlice web = slice("web", {"10.244.1.5", "10.244.2.8"});
  agent.apply({put(web), remove_service("api")});
  auto outcome = objects();
  outcome[1] = put(web);
  outcome.erase(outcome.begin() + 2);
  check_no_difference(config(), outcome);
}

}  // namespace kubenatd::agent::test
