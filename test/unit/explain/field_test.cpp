#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "test/support/places.h"
#include "test/unit/explain/explain_support.h"

/// Cases that users met (test/field).
namespace kubenatd::agent::test {
namespace {

std::string field(const std::string& file) {
  std::ifstream in(kubenatd::test::project_file("test/field/") + file);
  std::stringstream text;
  text << in.rdbuf();
  REQUIRE_FALSE(text.str().empty());
  return text.str();
}

/// A saved text alone, of a node with this address.
class Saved {
 public:
  Saved(const std::string& file, const std::string& node) {
    context_.rules = read_rules(field(file));
    context_.source = "saved";
    context_.node_addresses = context_.surroundings.local = {rules::Address::parse(node).value()};
  }
  [[nodiscard]] explain::Answer ask(const std::string& text, const std::string& from = "",
                                    const std::string& in_interface = "") {
    context_.in_interface = in_interface;
    const auto question = explain::parse_question(text, from);
    REQUIRE(question);
    auto answer = explain::explain(context_, *question);
    INFO((answer ? "" : answer.error().to_string()));
    REQUIRE(answer);
    return std::move(*answer);
  }

 private:
  explain::ExplainContext context_;
};

/// "END ADDRESS:PORT", of each way.
std::string ends(const explain::Answer& answer) {
  std::string text;
  for (const explain::PathEnd& end : answer.ends) {
    const bool arrives = end.end == rules::walk::End::kForwarded || end.end == rules::walk::End::kLocal;
    text += (text.empty() ? "" : ", ") + std::string(explain::name_of(end.end));
    if (arrives) text += " " + rules::join_host_port(end.destination, end.port);
  }
  return text;
}

const std::string kNoNode;

}  // namespace

TEST_CASE("field F14: a load balancer's address that a hostPort serves is no problem") {
  for (const auto mode : {config::Config::Mode::kIptables, config::Config::Mode::kNftables}) {
    const World world(field("F14/objects.yaml"), mode, "node-1", kNoNode);
    const explain::Answer answer = world.ask("198.51.100.10:80");
    INFO(to_text(answer, false));
    CHECK(problem(answer) == "none");
    CHECK_FALSE(has_problem(answer));
    CHECK(answer.client.code == "answer");
    CHECK(ends(answer) == "forwarded 10.244.1.11:80");
    CHECK(answer.ends.at(0).who == "pod kube-system/svclb-gateway-x1 on this node");
    CHECK(finding(answer, "local-policy-without-local-endpoint") != nullptr);
    // The NodePort has nobody here.
    CHECK(problem(world.ask("198.51.100.10:31644")).starts_with("local-policy-without-local-endpoint"));
    CHECK(world.ask("198.51.100.10:31644").client.code == "timeout");
    CHECK(world.ask("198.51.100.10:22").client.code == "local");
  }
}

TEST_CASE("field F13: of two Services with one external address the first with endpoints counts") {
  const std::string objects = field("F13/objects.yaml");
  const auto slice_of = [](const std::string& service, const std::string& endpoint) {
    return "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " + service +
           "-2, namespace: demo, labels: {kubernetes.io/service-name: " + service +
           "}}\naddressType: IPv4\nports: [{name: http, port: 8080, protocol: TCP}]\nendpoints:\n"
           "  - {addresses: [" +
           endpoint + "], conditions: {ready: true}, nodeName: node-1}\n";
  };
  for (const auto mode : {config::Config::Mode::kIptables, config::Config::Mode::kNftables}) {
    const auto ask = [&](const std::string& manifests) {
      const World world(manifests, mode, "node-1", kNoNode);
      explain::Answer answer = world.ask("203.0.113.60:80");
      UNSCOPED_INFO(to_text(answer, false));
      REQUIRE(finding(answer, "address-claimed-twice") != nullptr);
      CHECK(finding(answer, "address-claimed-twice")->details.size() == 1);
      return answer;
    };
    const explain::Answer green = ask(objects);
    CHECK(problem(green) == "none");
    CHECK(green.subject.name.starts_with("demo/green"));
    CHECK(finding(green, "address-claimed-twice")->details.at(0) ==
          "demo/blue:http claims it, too, and has no endpoints");
    CHECK(green.client.code == "answer");
    CHECK(ends(green) == "forwarded 10.244.1.11:8080");

    const explain::Answer blue = ask(objects + slice_of("blue", "10.244.1.12"));
    CHECK(problem(blue) == "none");
    CHECK(blue.subject.name.starts_with("demo/blue"));
    CHECK(finding(blue, "address-claimed-twice")->details.at(0) == "demo/green:http claims it, too");
    CHECK(ends(blue) == "forwarded 10.244.1.12:8080");

    const explain::Answer nobody = ask(objects.substr(0, objects.rfind("---")));
    CHECK(nobody.subject.name.starts_with("demo/blue"));
    CHECK(nobody.client.code == "refused");
    CHECK(problem(nobody).starts_with("no-ready-endpoint"));
  }
}

TEST_CASE("field F08: Services without a cluster IP are served by what needs none") {
  for (const auto mode : {config::Config::Mode::kIptables, config::Config::Mode::kNftables}) {
    const World world(field("F08/objects.yaml"), mode, "node-1", kNoNode);
    for (const char* question : {"node:30080", "203.0.113.40:80", "203.0.113.41:80"}) {
      const explain::Answer answer = world.ask(question);
      INFO(to_text(answer, false));
      CHECK(problem(answer) == "none");
      CHECK(answer.client.code == "answer");
      CHECK(ends(answer) == "forwarded 10.244.1.11:8080");
      REQUIRE(finding(answer, "passed-over") != nullptr);
      CHECK(finding(answer, "passed-over")->weight == explain::Finding::Weight::kRemark);
      CHECK(to_text(answer, false).find("spec.clusterIP: is not set and nothing here allocates one") !=
            std::string::npos);
    }
    // Neither takes an address from the other, or every address.
    CHECK(world.saved.find("0.0.0.0/32") == std::string::npos);
    CHECK(world.saved.find(" cluster IP\"") == std::string::npos);
    CHECK(world.ask("198.51.100.10:80").client.code != "answer");
  }
}

TEST_CASE("field F09: derived endpoints have the hints of their Service") {
  const auto chosen = [](const World& world, const std::string& service) {
    std::string text = ends(world.ask(service + ":80", "node"));
    return text;
  };
  for (const auto mode : {config::Config::Mode::kIptables, config::Config::Mode::kNftables}) {
    const std::string web1 = "forwarded 10.244.1.11:8080";
    const std::string web2 = "forwarded 10.244.2.11:8080";
    const std::string web3 = "forwarded 10.244.3.11:8080";
    const World first(field("F09/objects.yaml"), mode, "node-1", kNoNode);
    CHECK(chosen(first, "10.96.9.1") == web1);
    CHECK(chosen(first, "10.96.9.2") == web1 + ", " + web2);
    CHECK(chosen(first, "10.96.9.3") == web1 + ", " + web2);
    const World third(field("F09/objects.yaml"), mode, "node-3", kNoNode);
    for (const char* service : {"10.96.9.1", "10.96.9.2", "10.96.9.3"}) CHECK(chosen(third, service) == web3);
  }
}

TEST_CASE("field F12: the node's name is not the one that the objects have") {
  const World world(field("F12/objects.yaml"), config::Config::Mode::kIptables, "worker-1", kNoNode);
  explain::Answer answer = world.ask("203.0.113.50:80");
  REQUIRE(finding(answer, "node-name-differs") != nullptr);
  CHECK(finding(answer, "node-name-differs")->weight == explain::Finding::Weight::kProblem);
  CHECK(finding(answer, "node-name-differs")->details == std::vector<std::string>{"worker-1.example.internal"});
  CHECK(answer.client.code == "timeout");
  answer = world.ask("node:8080");
  REQUIRE(finding(answer, "node-name-differs") != nullptr);
  CHECK(finding(answer, "node-name-differs")->weight == explain::Finding::Weight::kProblem);

  const World control(field("F12/objects.yaml"), config::Config::Mode::kIptables, "worker-1.example.internal", kNoNode);
  CHECK(problem(control.ask("203.0.113.50:80")) == "none");
  CHECK(finding(control.ask("203.0.113.50:80"), "node-name-differs") == nullptr);
}

TEST_CASE("field F19: a Docker host whose interfaces are not in the text") {
  Saved host("F19/docker.save", "192.0.2.10");
  explain::Answer answer = host.ask("192.0.2.10:8080", "198.51.100.7");
  INFO(to_text(answer, false));
  CHECK((answer.client.code == "mixed" || answer.client.code == "unknown"));
  CHECK(ends(answer).find("forwarded 172.20.0.2:80") != std::string::npos);
  CHECK(problem(answer) == "none");
  REQUIRE(finding(answer, "interface-unknown") != nullptr);
  CHECK(finding(answer, "interface-unknown")->text.find("--in-interface") != std::string::npos);

  answer = host.ask("192.0.2.10:8080", "198.51.100.7", "eth0");
  CHECK(ends(answer).find("local") == std::string::npos);
  CHECK(ends(answer).find("forwarded 172.20.0.2:80") != std::string::npos);
  CHECK(host.ask("192.0.2.10:8081", "198.51.100.7", "eth0").client.code == "local");
}

TEST_CASE("field F26: a network policy whose sets are not in the text leaves both ways open") {
  Saved node("F26/policy.save", "198.51.100.10");
  const explain::Answer answer = node.ask("10.96.0.80:80", "10.244.1.9");
  INFO(to_text(answer, false));
  CHECK((answer.client.code == "mixed" || answer.client.code == "unknown"));
  CHECK(problem(answer) == "none");
  CHECK(ends(answer).find("forwarded 10.244.1.11:8080") != std::string::npos);
  CHECK(ends(answer).find("dropped") != std::string::npos);
  REQUIRE(finding(answer, "not-judged") != nullptr);
  const auto& details = finding(answer, "not-judged")->details;
  CHECK(std::ranges::any_of(details, [](const auto& one) { return one.find("POL-SRC-FRONT") != std::string::npos; }));
}

TEST_CASE("field F27: round robin by statistic nth is a third each") {
  Saved node("F27/nth.save", "198.51.100.10");
  const explain::Answer answer = node.ask("198.51.100.10:6443", "192.0.2.9");
  INFO(to_text(answer, false));
  CHECK(answer.client.code == "answer");
  CHECK(ends(answer) == "forwarded 10.0.5.11:6443, forwarded 10.0.5.12:6443, forwarded 10.0.5.13:6443");
  for (const explain::PathEnd& end : answer.ends) {
    CHECK(end.odds == Approx(1.0 / 3));
    CHECK(end.odds_known);
    CHECK(end.masqueraded);
  }
}

TEST_CASE("field F28: all forms of DNAT, and what the text itself could not read") {
  Saved node("F28/dnat.save", "198.51.100.10");
  const auto ask = [&](int port) { return node.ask("198.51.100.10:" + std::to_string(port), "192.0.2.9"); };
  CHECK(ends(ask(8001)) == "forwarded 10.244.1.11:80");
  CHECK(ends(ask(8002)) == "forwarded 10.244.1.11:80");
  explain::Answer answer = ask(8003);
  CHECK(to_text(answer, false).find("one of 10.244.1.11 to 10.244.1.14, port 80") != std::string::npos);
  const auto json = nlohmann::json::parse(to_json(answer));
  CHECK(json.at("ends").at(0).at("address") == "10.244.1.11");
  CHECK(json.at("ends").at(0).at("lastAddress") == "10.244.1.14");
  answer = ask(8004);
  REQUIRE(answer.ends.size() == 1);
  CHECK(answer.ends[0].end == rules::walk::End::kLocal);
  CHECK(answer.ends[0].port == 15001);
  for (const int port : {8005, 8006}) {
    answer = ask(port);
    INFO(to_text(answer, false));
    CHECK((answer.client.code == "unknown" || answer.client.code == "mixed"));
    CHECK(problem(answer) == "none");
    REQUIRE(finding(answer, "not-judged") != nullptr);
    CHECK(finding(answer, "not-judged")->details.at(0).find("could not read the rule") != std::string::npos);
    CHECK(ends(answer).find("10.244.1.11") == std::string::npos);
  }
  CHECK(ends(ask(8007)) == "local 198.51.100.10:8443");
  answer = ask(8008);
  CHECK(answer.client.code == "local");
  CHECK(to_text(answer, false).find("15006") != std::string::npos);
  CHECK(to_text(ask(8009), false).find("10.244.1.11, a port of 9000 to 9010") != std::string::npos);
}

TEST_CASE("field F31: a firewall in a table of nft is looked at like any other") {
  for (const auto mode : {config::Config::Mode::kIptables, config::Config::Mode::kNftables}) {
    World world(field("F31/objects.yaml"), mode, "node-1", kNoNode);
    world.context.surroundings.routes = {
        {.destination = rules::Prefix::parse("10.244.1.0/24").value(), .interface = "pod1"},
        {.destination = rules::Prefix::parse("198.51.100.0/24").value(), .interface = "eth0"}};
    world.add_rules(field("F31/firewall.nft"));
    const explain::Answer answer = world.ask("198.51.100.10:30080", "198.51.100.1");
    INFO(to_text(answer, false));
    CHECK(answer.client.code == "refused");
    CHECK(answer.client.text.find("no route to host") != std::string::npos);
    REQUIRE(problem(answer).starts_with("foreign-rule: inet firewalld filter_FORWARD: "));
    const auto json = nlohmann::json::parse(to_json(answer));
    const auto& steps = json.at("steps");
    REQUIRE_FALSE(steps.empty());
    CHECK(steps.back().at("table") == "firewalld");
    CHECK(steps.back().at("family") == "inet");
    CHECK(steps.back().at("hook") == "forward");
    CHECK(steps.back().at("foreign") == true);
    CHECK(json.at("ends").at(0).at("cause") == "rules");
    CHECK(json.at("ends").at(0).at("refusedWith").get<std::string>().find("admin-prohibited") != std::string::npos);
  }
}

TEST_CASE("field F42: a hostPort that is withheld for a dead container's entry is a problem") {
  for (const auto mode : {config::Config::Mode::kIptables, config::Config::Mode::kNftables}) {
    World world(field("F42/objects.yaml"), mode, "node-1", kNoNode);
    CHECK(problem(world.ask("node:8080")) == "none");
    CHECK(ends(world.ask("node:8080")) == "forwarded 10.244.1.11:8080");
    // What is in the kernel while it is withheld: the entry alone.
    world.replace_rules(field("F42/stale-portmap.rules"));
    const explain::Answer answer = world.ask("node:8080");
    INFO(to_text(answer, false));
    CHECK(has_problem(answer));
    CHECK(ends(answer) == "forwarded 10.244.1.99:8080");
    REQUIRE(finding(answer, "host-port-withheld") != nullptr);
    CHECK(finding(answer, "host-port-withheld")->weight == explain::Finding::Weight::kProblem);
    CHECK(finding(answer, "host-port-withheld")->text ==
          "hostPort 8080 of pod demo/web-new is withheld for an entry that leads to 10.244.1.99, which no Pod of this "
          "node has; kubenatd removes it a minute after it has seen that");
    CHECK(finding(answer, "host-port-withheld")->details == std::vector<std::string>{"10.244.1.99:8080"});
    CHECK(finding(answer, "host-port-wrong-pod") == nullptr);
    const auto json = nlohmann::json::parse(to_json(answer));
    CHECK(json.dump().find("host-port-withheld") != std::string::npos);
    // An entry of another network is left alone, and said to be.
    std::string other = field("F42/stale-portmap.rules");
    const auto at = other.find("10.244.1.99:8080");
    other.replace(at, std::string("10.244.1.99:8080").size(), "10.88.0.99:8080");
    world.context.rules = read_rules(other);
    const explain::Answer outside = world.ask("node:8080");
    REQUIRE(finding(outside, "host-port-withheld") != nullptr);
    CHECK(finding(outside, "host-port-withheld")->text.find("outside the range of this node's pods") !=
          std::string::npos);
  }
}

TEST_CASE("a dead container's entry for a port that no pod asks for is told") {
  std::string objects = field("F42/objects.yaml");
  const auto at = objects.find("hostPort: 8080");
  objects.replace(at, std::string("hostPort: 8080").size(), "hostPort: 9090");
  World world(objects, config::Config::Mode::kIptables, "node-1", kNoNode);
  world.replace_rules(field("F42/stale-portmap.rules"));
  world.context.desired.reset();
  const explain::Answer answer = world.ask("node:8080");
  INFO(to_text(answer, false));
  CHECK_FALSE(has_problem(answer));
  REQUIRE(finding(answer, "host-port-wrong-pod") != nullptr);
  CHECK(finding(answer, "host-port-wrong-pod")->details == std::vector<std::string>{"10.244.1.99:8080"});
}

TEST_CASE("field F40: the table that kube-proxy in nftables mode left") {
  for (const auto mode : {config::Config::Mode::kIptables, config::Config::Mode::kNftables}) {
    World world(field("F40/objects.yaml"), mode, "node-1", kNoNode);
    CHECK(finding(world.ask("10.96.0.80:80"), "left-behind") == nullptr);
    world.add_rules(field("F40/kube-proxy.nft"));
    const explain::Answer answer = world.ask("10.96.0.80:80");
    REQUIRE(finding(answer, "left-behind") != nullptr);
    CHECK(finding(answer, "left-behind")->details.back() == "table kube-proxy of nft: kube-proxy in nftables mode");
    CHECK(finding(answer, "left-behind")->text.find("nft delete table ip kube-proxy") != std::string::npos);
    // What stands behind ours in a text is newer, and of hooks with one priority the newer one comes first.
    CHECK(ends(answer).find("10.244.1.12:8080") != std::string::npos);
  }
}

}  // namespace kubenatd::agent::test
