#include "test/dataplane/sync_support.h"
#include "test/support/fake/kernel.h"

/// Several Services that claim one frontend.
namespace kubenatd::agent::test {
namespace {

constexpr rules::Protocol kUdp = rules::Protocol::kUdp;
constexpr const char* kShared = "203.0.113.60";

/// Blue is 10.96.13.1, green 10.96.13.2, and both are 203.0.113.60.
objects::ObjectEvent claimant(const std::string& name, rules::Protocol protocol = rules::Protocol::kTcp) {
  objects::Service made = service(name, name == "blue" ? "10.96.13.1" : "10.96.13.2", protocol);
  made.external_ips = {rules::Address::parse(kShared).value()};
  return put(made);
}

/// "203.0.113.60:80/tcp demo/blue demo/green (demo/green)" of each.
std::string clashes(const dataplane::RoundReport& report) {
  std::string text;
  for (const auto& [family, clash] : report.clashes) {
    text += (text.empty() ? "" : "; ") + rules::to_text(clash.frontend);
    for (const std::string& name : clash.claimants) text += " " + name;
    text += " (" + clash.serves + ")";
  }
  return text;
}

/// A flow of 10.0.0.1 that `endpoint` answers.
void make_flow(const std::string& endpoint) {
  must_run("conntrack -I -p udp -t 100 -s 10.0.0.1 -d " + std::string(kShared) + " --sport 4000 --dport 80 -r " +
           endpoint + " -q 10.0.0.1 --reply-port-src 8080 --reply-port-dst 4000");
}

bool has_flow() {
  return has_line(must_run("conntrack -L"), "src=10.0.0.1");
}

}  // namespace

TEST_CASE("a clash is told once however often the frontend changes hands") {
  SYNC_TEST_WORLD();
  for (const auto mode : {config::Config::Mode::kIptables, config::Config::Mode::kNftables}) {
    Agent agent(config_of(mode));
    CHECK(clashes(agent.apply({claimant("green"), put(slice("green", {"10.244.1.2"}))})).empty());
    CHECK(clashes(agent.apply({claimant("blue"), put(slice("blue", {}))})) ==
          "203.0.113.60:80/tcp demo/blue demo/green (demo/green)");
    CHECK(clashes(agent.apply({put(slice("blue", {"10.244.1.1"}))})).empty());
    CHECK(clashes(agent.apply({put(slice("blue", {}))})).empty());
    CHECK(clashes(agent.audit()).empty());
    CHECK(clashes(agent.apply({remove_service("green")})) == "203.0.113.60:80/tcp demo/blue ()");
    CHECK(clashes(agent.apply({claimant("green")})) == "203.0.113.60:80/tcp demo/blue demo/green (demo/green)");
    CHECK(difference(config_of(mode), {claimant("green"), put(slice("green", {"10.244.1.2"})), claimant("blue"),
                                       put(slice("blue", {}))}) == "");
  }
}

TEST_CASE("flows to a frontend that changes hands are removed") {
  SYNC_TEST_WORLD();
  for (const auto mode : {config::Config::Mode::kIptables, config::Config::Mode::kNftables}) {
    Agent agent(config_of(mode));
    agent.apply({claimant("blue", kUdp), put(slice("blue", {}, kUdp)), claimant("green", kUdp),
                 put(slice("green", {"10.244.1.2"}, kUdp))});
    make_flow("10.244.1.2");
    agent.apply({put(slice("green", {"10.244.1.2", "10.244.1.3"}, kUdp))});
    CHECK(has_flow());
    agent.apply({put(slice("blue", {"10.244.1.1"}, kUdp))});
    CHECK_FALSE(has_flow());  // its endpoint serves still, but not there
    make_flow("10.244.1.1");
    agent.apply({put(slice("blue", {}, kUdp))});
    CHECK_FALSE(has_flow());
  }
}

TEST_CASE("the frontend of a Service that the kernel refuses goes to the next and comes back") {
  SYNC_TEST_WORLD();
  SECTION("that says which element it is") {}
  SECTION("that does not, as Linux 5.10") {
    if (world().fake() != nullptr) world().fake()->hide_positions();
  }
  const config::Config config = config_of(config::Config::Mode::kNftables);
  Agent agent(config);
  // An address of the other family does not fit into the map.
  objects::EndpointSlice wrong = slice("blue", {"fd00:10:244:1::5", "fd00:10:244:1::6"});
  wrong.family = rules::Family::kIpv4;
  const std::vector<objects::ObjectEvent> green{claimant("green"), put(slice("green", {"10.244.1.2"}))};
  std::vector<objects::ObjectEvent> both = green;
  both.insert(both.end(), {claimant("blue"), put(wrong)});
  const dataplane::RoundReport report = agent.try_sync(both);
  INFO(Agent::describe(report));
  REQUIRE(problems_of(report).size() == 1);
  CHECK(problems_of(report).front().starts_with("demo/blue: refused by the kernel: "));
  CHECK(clashes(report) == "203.0.113.60:80/tcp demo/blue demo/green (demo/green)");
  CHECK(difference(config, green) == "");
  CHECK(clashes(agent.apply({put(slice("blue", {"10.244.1.1"}))})).empty());
  both = green;
  both.insert(both.end(), {claimant("blue"), put(slice("blue", {"10.244.1.1"}))});
  CHECK(difference(config, both) == "");
}

}  // namespace kubenatd::agent::test
