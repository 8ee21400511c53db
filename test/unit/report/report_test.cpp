#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "agent/report/known_secrets.h"
#include "agent/report/rules_text.h"
#include "agent/report/text.h"

using namespace kubenatd;
using namespace kubenatd::agent;

TEST_CASE("Each section of a report stands under its title, or says why it is not there") {
  const std::string text = report::to_text({{.title = "one", .text = "a\n== two ==\n\nb"},
                                            {.title = "two", .text = rules::fail("agent", "ask", "nobody answers")},
                                            {.title = "three", .text = ""}},
                                           {});
  CHECK(text ==
        "== one ==\n  a\n  == two ==\n\n  b\n\n== two ==\n  not available: agent: ask: nobody answers\n\n== three ==\n"
        "  nothing\n");
}

TEST_CASE("A section that is too long is cut between lines, and says so") {
  const std::string lines = "first\nsecond\nthird\n";
  const auto with = [&](std::size_t most, bool from_end) {
    return report::to_text({{.title = "x", .text = lines, .most = most, .from_end = from_end}}, {});
  };
  CHECK(with(19, false) == "== x ==\n  first\n  second\n  third\n");
  CHECK(with(18, false) == "== x ==\n  first\n  second\n  (6 of 19 bytes are left out here)\n");
  CHECK(with(12, true) == "== x ==\n  (13 of 19 bytes are left out here)\n  third\n");
  CHECK(with(13, true) == "== x ==\n  (6 of 19 bytes are left out here)\n  second\n  third\n");
  CHECK(with(2, false) == "== x ==\n  (19 of 19 bytes are left out here)\n");
}

TEST_CASE("A report is fit for a terminal and has no secrets in any part") {
  base::Secrets secrets;
  secrets.add("topsecret");
  const std::string text =
      report::to_text({{.title = "x", .text = "topsecret \x1b[2J \xff"},
                       {.title = "y", .text = rules::fail("https://a:b@host", "ask", "topsecret was refused")}},
                      secrets);
  INFO(text);
  CHECK(text.find("topsecret") == std::string::npos);
  CHECK(text.find("a:b@") == std::string::npos);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find('\xff') == std::string::npos);
}

TEST_CASE("All that is secret in a kubeconfig is known") {
  report::KubeconfigSecrets found;
  report::add_kubeconfig_secrets(R"(
kind: Config
clusters:
- name: c
  cluster: {server: "https://u1:passw1@host", proxy-url: "socks5://u2:passw2@proxy", certificate-authority: ca.crt,
    certificate-authority-data: Q0VSVElGSUNBVEU=}
users:
- name: a
  user:
    token: token-one
    username: kate
    password: pass-two
    client-key-data: S0VZ
    client-key: key.pem
    client-certificate: /abs/cert.pem
    tokenFile: token
    misplaced: {deeper: [third-secret, 123456]}
    exec: {command: aws, args: [--token=fourth-secret], env: [{name: X, value: fifth-secret}]}
    auth-provider: {name: oidc, config: {id-token: sixth-secret}}
- name: b
  user: {token: other-context}
)",
                                 found);
  const std::string text =
      "passw1 passw2 CERTIFICATE token-one pass-two S0VZ third-secret 123456 fourth-secret fifth-secret sixth-secret "
      "other-context a2F0ZTpwYXNzLXR3bw==";
  const std::string shown = found.secrets.without(text);
  INFO(shown);
  std::string wanted;
  for (int i = 0; i < 13; ++i) wanted += i == 0 ? "[left out]" : " [left out]";
  CHECK(shown == wanted);
  CHECK(found.secrets.without("kate aws oidc host proxy") == "kate aws oidc host proxy");
  CHECK(found.files == std::vector<std::string>{"/abs/cert.pem", "key.pem", "token", "ca.crt"});
}

TEST_CASE("Of a kubeconfig that cannot be understood every long word is a secret") {
  report::KubeconfigSecrets found;
  report::add_kubeconfig_secrets("users:\n- user: {token: [abcdefghijkl\n  password: \"mnopqrstuvwx\"\n", found);
  CHECK(found.secrets.without("x abcdefghijkl y mnopqrstuvwx z") == "x [left out] y [left out] z");
}

TEST_CASE("Base chains of all programs are told with hook and priority, rules of others only counted") {
  using namespace rules::walk;
  Ruleset rules;
  WalkTable& nat = rules.table(TableFamily::kIp, "nat");
  WalkChain& output = nat.chains["OUTPUT"];
  output.name = "OUTPUT";
  output.base =
      Base{.hook = Hook::kOutput, .type = Base::Type::kNat, .priority = -100, .policy_drop = false, .devices = {}};
  const auto rule = [](std::vector<Statement> statements, const char* text) {
    WalkRule made;
    made.statements = std::move(statements);
    made.text = text;
    return made;
  };
  output.rules.push_back(rule({ToVerdict{.verdict = Verdict::kJump, .chain = "KUBE-SERVICES"}}, "-j KUBE-SERVICES"));
  output.rules.push_back(rule({}, "-m comment --comment private"));
  WalkChain& services = nat.chains["KUBE-SERVICES"];
  services.name = "KUBE-SERVICES";
  services.rules.push_back(rule({}, "-d 10.96.0.10/32 -j KUBE-SVC-X"));
  WalkTable& other = rules.table(TableFamily::kInet, "firewalld");
  WalkChain& input = other.chains["in\nput"];
  input.name = "in\nput";
  input.base =
      Base{.hook = Hook::kInput, .type = Base::Type::kFilter, .priority = 10, .policy_drop = true, .devices = {}};
  input.rules.push_back(rule({}, "private"));
  rules.not_looked_at.push_back({"table raw of iptables-legacy", "EPERM"});

  CHECK(report::base_chains(rules) ==
        "ip nat OUTPUT: output nat priority -100, policy accept, 2 rules\n"
        "inet firewalld in\\nput: input filter priority 10, policy drop, 1 rules\n"
        "not looked at: table raw of iptables-legacy: EPERM\n");
  CHECK(report::service_rules(rules) ==
        "ip nat -A KUBE-SERVICES -d 10.96.0.10/32 -j KUBE-SVC-X\n"
        "ip nat -A OUTPUT -j KUBE-SERVICES\n");
}
