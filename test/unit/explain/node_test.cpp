#include <nlohmann/json.hpp>

#include "test/unit/explain/explain_support.h"

/// What stands around the rules: the node, others' programs, what was left out, connections that are known.
namespace kubenatd::agent::test {
namespace {

using rules::walk::RouteAnswer;
using rules::walk::RouteQuestion;

const std::string kWeb = web("  type: NodePort\n") + pod("web-1", "web", "10.244.1.5", true);

/// The kernel's answer for the pods' addresses; all others are by eth0, those of the node local.
void answer_routes(World& world, RouteAnswer to_pods) {
  world.context.source = "live";
  world.context.surroundings.ask_route = [to_pods](const RouteQuestion& question) {
    if (rules::Prefix::parse("10.244.0.0/16")->contains(question.destination)) return to_pods;
    RouteAnswer answer;
    answer.kind = question.destination == rules::Address::parse("192.168.77.2") ? RouteAnswer::Kind::kLocal
                                                                                : RouteAnswer::Kind::kForward;
    answer.interface = answer.kind == RouteAnswer::Kind::kLocal ? "lo" : "eth0";
    return answer;
  };
}

RouteAnswer by(const std::string& interface) {
  RouteAnswer answer;
  answer.kind = RouteAnswer::Kind::kForward;
  answer.interface = interface;
  return answer;
}

std::string codes(const explain::Answer& answer) {
  return problem(answer).substr(0, problem(answer).find(':')) + " " + answer.client.code;
}

}  // namespace

TEST_CASE("explain: rules that change while they are asked for are told") {
  World world(kWeb);
  answer_routes(world, by("cni0"));
  int asked = 0;
  world.context.rules.is_current = [&] { return ++asked > 1; };
  const auto changed = world.ask("10.96.0.80:80");
  CHECK(explain::met_changes(changed));
  CHECK(changed.is_incomplete);
  REQUIRE(finding(changed, "not-looked-at") != nullptr);
  CHECK(finding(changed, "not-looked-at")->text.find("others changed") != std::string::npos);
  CHECK(changed.client.code == "unknown");
  const auto same = world.ask("10.96.0.80:80");
  CHECK_FALSE(explain::met_changes(same));
  CHECK(finding(same, "not-looked-at") == nullptr);
  CHECK(same.client.code == "answer");
}

TEST_CASE("explain: an address of the node where NodePorts do not answer") {
  for (const auto mode : {config::Config::Mode::kIptables, config::Config::Mode::kNftables}) {
    World world(web() + pod("web-1", "web", "10.244.1.5", true), mode, "node-1", kNode,
                {rules::Prefix::parse("192.168.77.0/24").value()});
    world.context.surroundings.local.push_back(rules::Address::parse("203.0.113.1").value());
    CHECK(problem(world.ask("192.168.77.2:30080", "203.0.113.77")) == "none");
    const explain::Answer answer = world.ask("203.0.113.1:30080", "203.0.113.77");
    CHECK(answer.subject.kind == explain::Subject::Kind::kNodePort);
    REQUIRE(finding(answer, "node-port-not-here") != nullptr);
    CHECK(finding(answer, "node-port-not-here")->text ==
          "NodePorts do not answer on 203.0.113.1: nodePortAddresses chooses 192.168.77.2");
    REQUIRE(finding(world.ask("127.0.0.1:30080", "node"), "node-port-not-here") != nullptr);
  }
}

TEST_CASE("explain: a node that forwards nothing, or has no route") {
  World world(kWeb);
  answer_routes(world, by("veth1"));
  world.context.surroundings.ip_forward = true;
  CHECK(codes(world.ask("node:30080")) == "none answer");

  world.context.surroundings.ip_forward = false;
  explain::Answer answer = world.ask("node:30080");
  INFO(to_text(answer, false));
  CHECK(codes(answer) == "forwarding-off timeout");
  CHECK(nlohmann::json::parse(to_json(answer)).at("ends").at(0).at("cause") == "forwarding-off");
  REQUIRE_FALSE(answer.steps.empty());
  CHECK(answer.steps.back().rule.find("ip_forward is 0") != std::string::npos);
  world.context.surroundings.ip_forward = true;

  RouteAnswer none;
  none.kind = RouteAnswer::Kind::kNone;
  answer_routes(world, none);
  answer = world.ask("node:30080");
  CHECK(codes(answer) == "no-route refused");
  CHECK(answer.client.text.find("cannot be reached") != std::string::npos);
  none.kind = RouteAnswer::Kind::kBlackhole;
  answer_routes(world, none);
  CHECK(codes(world.ask("node:30080")) == "no-route timeout");

  answer_routes(world, RouteAnswer{});
  CHECK(world.ask("node:30080").client.code != "answer");
}

TEST_CASE("explain: a next hop that does not answer") {
  World world(kWeb);
  RouteAnswer silent = by("veth1");
  silent.neighbour_failed = true;
  answer_routes(world, silent);
  const explain::Answer answer = world.ask("node:30080");
  CHECK(codes(answer) == "neighbour-failed unknown");
  CHECK(finding(answer, "neighbour-failed")->details.at(0) == "10.244.1.5 on veth1");
}

TEST_CASE("explain: what was not looked at takes the certainty away") {
  World world(kWeb);
  world.context.not_looked_at.push_back({"table bridge filter", "bridges are not walked"});
  world.context.rules.not_looked_at.push_back({"table raw of iptables-legacy", "it could not be read"});
  world.context.rules.not_looked_at.push_back({"table bridge filter", "bridges are not walked"});
  const explain::Answer answer = world.ask("node:30080");
  CHECK(answer.client.code == "unknown");
  CHECK(answer.client.text.find("an answer from the pod") != std::string::npos);
  CHECK_FALSE(has_problem(answer));
  CHECK(std::ranges::count(answer.findings, "not-looked-at", &explain::Finding::code) == 2);
  CHECK(finding(answer, "not-looked-at")->text.find("table raw of iptables-legacy") != std::string::npos);
  // What ends here ends here all the same.
  World refused(web());
  refused.context.not_looked_at.push_back({"table bridge filter", "bridges are not walked"});
  CHECK(refused.ask("10.96.0.80:80").client.code == "refused");
}

TEST_CASE("explain: known connections that went elsewhere") {
  World world(kWeb + pod("web-2", "web", "10.244.1.6", false));
  const auto with = [&](const std::vector<std::string>& servers) {
    world.context.flows = [servers](const rules::walk::Packet&) {
      std::vector<explain::KnownFlow> flows;
      for (const std::string& server : servers) flows.push_back({"192.0.2.9:40000 -> 192.168.77.2:30080", server});
      return flows;
    };
    return world.ask("node:30080");
  };
  CHECK(finding(with({"10.244.1.5:8080"}), "connections-differ") == nullptr);
  CHECK(with({}).client.code == "answer");
  // Older ones beside new ones, and an endpoint that keeps what it had, are ordinary.
  explain::Answer answer = with({"10.244.1.5:8080", "10.244.9.9:8080"});
  CHECK(answer.client.code == "answer");
  REQUIRE(finding(answer, "connections-differ") != nullptr);
  CHECK(finding(answer, "connections-differ")->details ==
        std::vector<std::string>{"192.0.2.9:40000 -> 192.168.77.2:30080 by 10.244.9.9:8080"});
  CHECK(with({"10.244.1.6:8080"}).client.code == "answer");
  // All of them served by somebody whom the rules do not know.
  answer = with({"192.168.77.2:30080"});
  CHECK(answer.client.code == "unknown");
  CHECK_FALSE(has_problem(answer));
}

TEST_CASE("explain: rules that another program left behind") {
  World world(kWeb);
  CHECK(finding(world.ask("10.96.0.80:80"), "left-behind") == nullptr);
  world.add_rules(
      "table ip kube-proxy {\n\tchain nat-prerouting {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n"
      "\t\tip daddr 10.96.0.99 drop\n\t}\n}\n");
  explain::Answer answer = world.ask("10.96.0.80:80");
  REQUIRE(finding(answer, "left-behind") != nullptr);
  CHECK(finding(answer, "left-behind")->weight == explain::Finding::Weight::kRemark);
  CHECK(finding(answer, "left-behind")->details.size() == 2);
  CHECK(finding(answer, "left-behind")->text.find("nft delete table ip kube-proxy") != std::string::npos);

  World ipvs(kWeb);
  ipvs.insert_rule("-A PREROUTING", ":KUBE-LOAD-BALANCER - [0:0]");
  answer = ipvs.ask("10.96.0.80:80");
  REQUIRE(finding(answer, "left-behind") != nullptr);
  REQUIRE(finding(answer, "not-looked-at") != nullptr);
  CHECK(finding(answer, "not-looked-at")->text.starts_with("ipvs could decide"));
}

TEST_CASE("explain: what was left out while loading") {
  World world(kWeb);
  explain::Passed& passed = world.context.passed;
  passed.add({.object = "Service demo/x",
              .reason = "spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive",
              .addresses = {rules::Address::parse("10.96.1.1").value()},
              .node_ports = {31111}});
  passed.add(
      {.object = "EndpointSlice demo/web-1", .reason = "endpoints[3]: no address", .addresses = {}, .node_ports = {}});
  explain::Answer answer = world.ask("10.96.1.1:80");
  REQUIRE(finding(answer, "passed-over") != nullptr);
  CHECK(finding(answer, "passed-over")->text ==
        "10.96.1.1 belongs to Service demo/x, which was left out: spec.ports[0].port: Invalid value: 70000: must be "
        "between 1 and 65535, inclusive");
  CHECK(finding(answer, "address-not-a-service") == nullptr);
  CHECK(has_problem(answer));
  answer = world.ask("node:31111");
  REQUIRE(finding(answer, "passed-over") != nullptr);
  CHECK(finding(answer, "passed-over")->text.starts_with("port 31111 of this node belongs to Service demo/x"));
  CHECK(finding(answer, "port-not-served") == nullptr);
  answer = world.ask("10.96.0.80:80");
  REQUIRE(finding(answer, "passed-over") != nullptr);
  CHECK(finding(answer, "passed-over")->text == "EndpointSlice demo/web-1 was left out: endpoints[3]: no address");
  CHECK_FALSE(has_problem(answer));
}

TEST_CASE("explain: a NodePort of a Service that no rules are made for") {
  const World world(
      "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: other\n  namespace: demo\n"
      "  labels: {service.kubernetes.io/service-proxy-name: x}\nspec:\n  type: NodePort\n"
      "  clusterIP: 10.96.0.90\n  ports: [{port: 80, nodePort: 30999}]\n");
  const explain::Answer answer = world.ask("node:30999");
  CHECK(problem(answer) == "service-without-rules");
  CHECK(finding(answer, "service-without-rules")->text.find("service-proxy-name") != std::string::npos);
}

TEST_CASE("explain: a hostPort whose rule leads to another pod") {
  World world(pod("door", "door", "10.244.1.8", true, "node-1", "{name: http, containerPort: 8080, hostPort: 8088}") +
              pod("web-1", "web", "10.244.1.5", true));
  CHECK(problem(world.ask("node:8088")) == "none");
  std::string text = world.saved;
  for (auto at = text.find("10.244.1.8:8080"); at != std::string::npos; at = text.find("10.244.1.8:8080"))
    text.replace(at, std::string("10.244.1.8:8080").size(), "10.244.1.5:8080");
  world.replace_rules(text);
  world.context.desired.reset();
  const explain::Answer answer = world.ask("node:8088");
  CHECK(problem(answer) == "host-port-wrong-pod: 10.244.1.5:8080, pod demo/web-1 on this node");
}

TEST_CASE("explain: traffic policy Local asked from inside is no problem") {
  const World world(web("  type: NodePort\n  externalTrafficPolicy: Local\n") +
                    pod("web-2", "web", "10.244.2.7", true, "node-2"));
  CHECK(problem(world.ask("node:30080", "10.244.1.9")) == "none");
  CHECK(world.ask("node:30080", "10.244.1.9").client.code == "answer");
  CHECK(problem(world.ask("node:30080", "192.0.2.9")).starts_with("local-policy-without-local-endpoint"));
}

TEST_CASE("explain: rules of others in any table, in both modes") {
  const auto ask = [](config::Config::Mode mode, const std::string& table) {
    World world(kWeb, mode);
    world.add_rules(table);
    return world.ask("10.96.0.80:80", "10.244.1.9");
  };
  for (const auto mode : {config::Config::Mode::kIptables, config::Config::Mode::kNftables}) {
    explain::Answer answer = ask(mode,
                                 "table ip mine {\n\tchain first {\n\t\ttype nat hook prerouting priority -150; policy "
                                 "accept;\n\t\tip daddr 10.96.0.80 tcp dport 80 dnat to 10.9.9.9:81\n\t}\n}\n");
    CHECK(problem(answer).starts_with("shadowed: mine first: "));
    REQUIRE(answer.ends.size() == 1);
    CHECK(answer.ends[0].destination.to_string() == "10.9.9.9");
    answer = ask(mode,
                 "table ip mine {\n\tchain early {\n\t\ttype filter hook prerouting priority raw; policy accept;\n"
                 "\t\tip saddr 10.244.1.9 drop\n\t}\n}\n");
    CHECK(problem(answer).starts_with("foreign-rule: mine early: "));
    CHECK(answer.client.code == "timeout");
    answer = ask(mode,
                 "table ip mine {\n\tchain early {\n\t\ttype filter hook prerouting priority raw; policy accept;\n"
                 "\t\tip daddr 10.96.0.80 notrack\n\t}\n}\n");
    CHECK(problem(answer).starts_with("shadowed: mine early: "));
    CHECK(answer.client.code != "answer");
    answer = ask(mode,
                 "table inet mine {\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n"
                 "\t\tlimit rate 5/second drop\n\t}\n}\n");
    CHECK(problem(answer) == "none");
    CHECK(answer.client.code == "mixed");
    CHECK(finding(answer, "not-judged") != nullptr);
  }
}

TEST_CASE("explain: a DNS cache that takes its Service's address on the node is meant to answer") {
  World world(kWeb);
  world.add_rules(
      "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
      "-A PREROUTING -d 10.96.0.80/32 -p tcp -m tcp --dport 80 -j NOTRACK\n"
      "-A OUTPUT -d 10.96.0.80/32 -p tcp -m tcp --dport 80 -j NOTRACK\nCOMMIT\n");
  CHECK(problem(world.ask("10.96.0.80:80", "10.244.1.9")).starts_with("shadowed: raw PREROUTING: "));
  world.context.surroundings.local.push_back(rules::Address::parse("10.96.0.80").value());
  const explain::Answer answer = world.ask("10.96.0.80:80", "10.244.1.9");
  CHECK(problem(answer) == "none");
  REQUIRE(finding(answer, "shadowed") != nullptr);
  CHECK(answer.client.code == "local");
}

TEST_CASE("explain: a NodePort on addresses that are local by a route alone") {
  World world(kWeb);
  auto& surroundings = world.context.surroundings;
  surroundings.local_prefixes = {rules::Prefix::parse("203.0.113.5/32").value(),
                                 rules::Prefix::parse("203.0.113.128/28").value()};
  const auto is_served = [&](const std::string& address) {
    const explain::Answer answer = world.ask(address + ":30080");
    INFO(to_text(answer, false));
    if (answer.subject.kind != explain::Subject::Kind::kNodePort) return false;
    CHECK(answer.subject.name == "demo/web:http");
    CHECK(codes(answer) == "none answer");
    return true;
  };
  CHECK(is_served("203.0.113.5"));
  CHECK(is_served("203.0.113.130"));
  CHECK_FALSE(is_served("203.0.113.6"));
  // The kernel knows of a longer route.
  surroundings.ask_local = [](const rules::Address& address) -> std::optional<bool> {
    if (address == rules::Address::parse("203.0.113.130")) return std::nullopt;
    return address == rules::Address::parse("203.0.113.134");
  };
  CHECK(is_served("203.0.113.134"));
  CHECK(is_served("203.0.113.130"));
  CHECK_FALSE(is_served("203.0.113.135"));
  CHECK_FALSE(is_served("203.0.113.5"));
}

TEST_CASE("explain: a client to whom the node has no way arrives by an interface that is not known") {
  World world(kWeb);
  world.context.source = "live";
  bool asked = false;
  world.context.surroundings.ask_route = [&](const RouteQuestion& question) {
    RouteAnswer answer;
    if (rules::Prefix::parse("10.244.0.0/16")->contains(question.destination)) {
      asked = true;
      // None is a packet that the node sends itself, which may not have that source.
      answer.kind = question.in_interface == std::string() ? RouteAnswer::Kind::kForward : RouteAnswer::Kind::kNone;
      answer.interface = "veth1";
    } else {
      answer.kind = question.destination == rules::Address::parse("192.168.77.2") ? RouteAnswer::Kind::kLocal
                                                                                  : RouteAnswer::Kind::kNone;
    }
    return answer;
  };
  const explain::Answer answer = world.ask("node:30080");
  INFO(to_text(answer, false));
  CHECK(asked);
  CHECK(codes(answer) == "none answer");
}

TEST_CASE("explain: a saved text without rules of the family is refused, an empty kernel is an answer") {
  World world(kWeb);
  world.context.rules = {};
  world.context.source = "saved";
  const auto question = explain::parse_question("10.96.0.80:80", "");
  REQUIRE(question);
  CHECK_FALSE(explain::explain(world.context, *question));
  world.context.source = "live";
  CHECK(explain::explain(world.context, *question));
}

}  // namespace kubenatd::agent::test
