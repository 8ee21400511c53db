#include <sstream>

#include "rules/hostport/names.h"
#include "test/dataplane/sync_support.h"

// What a restored dump doubles is made one again: jumps from builtin chains, rules in chains of ours, and all of the
// table of nftables mode.
namespace kubenatd::agent::test {
namespace {

using kubenatd::test::lines_of;

std::vector<objects::ObjectEvent> objects() {
  objects::Service web = service("web", "10.96.0.1");
  web.ports[0].node_port = 30080;
  web.affinity_seconds = 60;
  objects::Pod pod;
  pod.key = {"demo", "web"};
  pod.node_name = "node-1";
  pod.phase = objects::Pod::Phase::kRunning;
  pod.addresses = {ip("10.244.1.5")};
  pod.ports = {{"", rules::Protocol::kTcp, 80, 8080, {}}};
  return {put(web),
          put(slice("web", {"10.244.1.5", "10.244.2.7"})),
          put(service("idle", "10.96.0.3")),
          put(service("six", "fd00:10:96::1")),
          put(slice("six", {"fd00:10:244:1::5"})),
          {objects::Kind::kPod, pod.key, std::make_shared<const objects::Object>(pod)}};
}

/// The words of a line of iptables-save, without quotes.
std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  std::istringstream text(line);
  for (std::string word; text >> std::quoted(word);) words.push_back(word);
  return words;
}

/// Adds the rule to the end of its chain, as iptables-restore --noflush does with each line of a dump.
void add_again(const std::string& program, const std::string& table, const std::string& line) {
  std::vector<std::string> words{program, "-t", table};
  for (std::string& word : words_of(line)) words.push_back(std::move(word));
  must_run(words);
}

/// Adds every rule of a table whose chain begins so once more; how many there were.
std::size_t double_rules(const std::string& program, const std::string& table, const std::vector<std::string>& chains) {
  std::size_t added = 0;
  for (const std::string& line : lines_of(must_run(std::vector<std::string>{program + "-save", "-t", table})))
    for (const std::string& chain : chains)
      if (line.starts_with("-A " + chain)) {
        add_again(program, table, line);
        ++added;
      }
  return added;
}

const std::vector<std::string> kBuiltin{"PREROUTING ", "POSTROUTING ", "INPUT ", "OUTPUT ", "FORWARD "};

const std::vector<std::string> kForeign{
    "iptables -t nat -N OTHERS",
    "iptables -t nat -A PREROUTING -d 172.17.0.0/16 -j OTHERS",
    "iptables -t nat -A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE",
    "iptables -A INPUT -p tcp --dport 22 -j ACCEPT",
    "ip6tables -t nat -A PREROUTING -d fd00::1 -j RETURN",  // so that all builtin chains are there before and after
};

/// Jumps to our chains that are none of ours: somebody's own conditions, another way to go there, another builtin
/// chain.
const std::vector<std::string> kForeignJumps{
    "iptables -t nat -A PREROUTING -i eth1 -j KUBE-SERVICES",
    "iptables -t nat -A OUTPUT -d 10.96.0.0/12 -j KUBE-SERVICES",
    "iptables -A FORWARD -p udp -j KUBE-FORWARD",
    "iptables -A INPUT -j KUBE-FORWARD",
};

/// The same jumps in other forms: without a comment, with another one, with and without the condition for new ones.
const std::vector<std::string> kOtherForms{
    "iptables -t nat -A PREROUTING -j KUBE-SERVICES",
    "iptables -t nat -I OUTPUT -m comment --comment portals -j KUBE-SERVICES",
    "iptables -t nat -A POSTROUTING -m conntrack --ctstate NEW -j KUBE-POSTROUTING",
    "iptables -A FORWARD -m comment --comment forwarding -j KUBE-FORWARD",
    "iptables -I FORWARD -j KUBE-SERVICES",
    "iptables -A OUTPUT -j KUBE-SERVICES",
    "iptables -A INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES",
    "ip6tables -t nat -A PREROUTING -j KUBE-SERVICES",
};

}  // namespace

TEST_CASE("jumps that a restore has doubled are made one again, and those of others stay") {
  SYNC_TEST_WORLD();
  for (const std::string& command : kForeign) must_run(command);
  Agent agent;
  agent.apply(objects());
  for (const std::string& command : kForeignJumps) must_run(command);
  REQUIRE_FALSE(agent.follow().wrote());
  const std::string right = saved();
  check_no_difference(config(), objects());
  const auto heal = [&](const char* what) {
    INFO(what);
    CHECK(difference(config(), objects()).find("  - ") != std::string::npos);
    SECTION("by notification") {
      const auto report = agent.follow();
      CHECK(report.wrote());
      CHECK_FALSE(healed_by(report).empty());
    }
    SECTION("by an audit") {
      CHECK(agent.audit().wrote());
    }
    SECTION("by a restart") {
      CHECK(Agent().apply(objects()).wrote());
    }
    CHECK(changed(right, saved()) == "");
    check_no_difference(config(), objects());
    CHECK_FALSE(agent.audit().wrote());
  };
  SECTION("in another form") {
    for (const std::string& command : kOtherForms) must_run(command);
    heal("in another form");
  }
  SECTION("as they are") {
    // Only those of ours: foreign rules are doubled by a restore, too, and nobody can know whether they are to be.
    for (const char* program : {"iptables", "ip6tables"})
      for (const char* table : {"nat", "filter"})
        for (const std::string& line :
             lines_of(must_run(std::vector<std::string>{std::string(program) + "-save", "-t", table})))
          for (const std::string& chain : kBuiltin)
            if (line.starts_with("-A " + chain) && (has_line(line, "\"kubernetes ") || has_line(line, "CNI-HOSTPORT") ||
                                                    line.ends_with("-j KUBE-FIREWALL"))) {
              add_again(program, table, line);
              add_again(program, table, line);
            }
    REQUIRE(saved().size() > right.size());
    heal("as they are");
  }
}

TEST_CASE("a jump to host ports that is there twice stays where no host port is wanted") {
  SYNC_TEST_WORLD();
  must_run("iptables -t nat -N CNI-HOSTPORT-DNAT");
  for (int i = 0; i < 2; ++i) must_run("iptables -t nat -A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT");
  Agent agent;
  agent.apply({put(service("idle", "10.96.0.3"))});
  must_run("iptables -t nat -A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT");
  const std::string before = saved();
  CHECK_FALSE(agent.follow().wrote());
  CHECK_FALSE(agent.audit().wrote());
  CHECK(saved() == before);
  check_no_difference(config(), {put(service("idle", "10.96.0.3"))});
}

TEST_CASE("rules that a restore has doubled inside our chains are made one again") {
  SYNC_TEST_WORLD();
  Agent agent;
  agent.apply(objects());
  const std::string right = saved();
  for (const char* program : {"iptables", "ip6tables"})
    for (const char* table : {"nat", "filter"}) double_rules(program, table, {"KUBE-"});
  REQUIRE(saved().size() > right.size());
  SECTION("by notification") {
    CHECK(agent.follow().wrote());
  }
  SECTION("by an audit") {
    CHECK(agent.audit().wrote());
  }
  SECTION("by a restart") {
    CHECK(Agent().apply(objects()).wrote());
  }
  CHECK(changed(right, saved()) == "");
  check_no_difference(config(), objects());
}

TEST_CASE("a saved dump restored over itself is put right", "[real]") {
  REAL_WORLD_ONLY("it has no iptables-restore");
  Agent agent;
  agent.apply(objects());
  const std::string right = saved();
  for (const std::string program : {"iptables", "ip6tables"})
    must_run({program + "-restore", "--noflush"}, must_run(std::vector<std::string>{program + "-save"}));
  // A chain that a dump declares is emptied by it, a builtin one is not.
  REQUIRE(saved().size() > right.size());
  CHECK(agent.follow().wrote());
  CHECK(changed(right, saved()) == "");
  CHECK_FALSE(agent.audit().wrote());
}

TEST_CASE("clean-up takes every jump of a doubled set") {
  SYNC_TEST_WORLD();
  const std::string empty = saved();
  {
    Agent agent;
    agent.apply(objects());
  }
  for (const char* program : {"iptables", "ip6tables"})
    for (const char* table : {"nat", "filter"}) double_rules(program, table, kBuiltin);
  for (const std::string& command : kOtherForms) must_run(command);
  CHECK(clean().emptied.empty());
  for (const std::string& line : lines_of(saved())) CHECK_FALSE(line.starts_with("-A "));
  CHECK_FALSE(has_line(saved(), "KUBE-"));
}

TEST_CASE("the table of nftables mode loaded over itself is put right", "[real]") {
  REAL_WORLD_ONLY("it has no nft that reads rules");
  std::vector<objects::ObjectEvent> all = objects();
  Agent agent(nftables_config());
  agent.apply(all);
  const std::string right = must_run("nft list ruleset");
  must_run({"nft", "-f", "-"}, right);
  REQUIRE(must_run("nft list ruleset").size() > right.size());
  CHECK(difference(nftables_config(), all) != "");
  SECTION("by notification") {
    CHECK(agent.follow().wrote());
  }
  SECTION("by an audit") {
    CHECK(agent.audit().wrote());
  }
  SECTION("by a restart") {
    CHECK(Agent(nftables_config()).apply(all).wrote());
  }
  CHECK(difference(nftables_config(), all) == "");
  CHECK(must_run("nft list ruleset").size() == right.size());
  CHECK_FALSE(agent.audit().wrote());
}

}  // namespace kubenatd::agent::test
