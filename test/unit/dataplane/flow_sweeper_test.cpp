#include "agent/dataplane/flow_sweeper.h"

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

#include "test/support/fake/kernel.h"

namespace kubenatd::agent::dataplane {
namespace {

using namespace std::chrono_literals;

constexpr Time kStart = Time{} + 1h;
constexpr std::uint8_t kUdp = 17;

rules::Address ip(const std::string& text) {
  return rules::Address::parse(text).value();
}

state::ViewChange dns(const std::vector<std::string>& endpoints, rules::Protocol protocol = rules::Protocol::kUdp) {
  rules::ServicePortView view;
  view.name = "demo/dns";
  view.protocol = protocol;
  view.cluster_ip = ip("10.96.0.10");
  view.port = 53;
  for (const std::string& address : endpoints) {
    rules::Endpoint endpoint;
    endpoint.address = ip(address);
    endpoint.port = 5353;
    endpoint.is_serving = true;
    view.endpoints.push_back(endpoint);
  }
  return {.family = rules::Family::kIpv4, .name = view.name, .protocol = protocol, .view = view};
}

rules::hostport::PodPorts pod(const std::string& address) {
  rules::hostport::PodPorts pod;
  pod.id = "demo/web";
  pod.address = ip(address);
  rules::hostport::Mapping mapping;
  mapping.protocol = rules::Protocol::kUdp;
  mapping.host_port = 8053;
  mapping.container_port = 53;
  pod.mappings = {mapping};
  return pod;
}

class Fixture {
 public:
  Fixture() { sweeper.set_node({}, std::array{ip("192.168.77.2")}, {}); }

  void add_flow(const std::string& to, std::uint16_t port, const std::string& from, std::uint16_t from_port) {
    netlink::host::ConntrackFlow flow;
    flow.protocol = kUdp;
    flow.original_source = ip("10.0.0.1");
    flow.original_destination = ip(to);
    flow.original_destination_port = port;
    flow.reply_source = ip(from);
    flow.reply_source_port = from_port;
    kernel.add_flow(flow);
  }
  std::size_t sweep(Time now) {
    const auto swept = sweeper.sweep(kernel, now);
    REQUIRE(swept);
    return swept->deleted;
  }
  /// Both sweeps of what is due at `now`.
  void settle(Time now) {
    REQUIRE(sweeper.is_due(now));
    (void)sweep(now);
    (void)sweep(now + 1s);
    REQUIRE_FALSE(sweeper.is_due(now + 1h));
  }

  kubenatd::test::FakeKernel kernel;
  FlowSweeper sweeper{rules::Family::kIpv4, state::Precedence::kInTurn};
};

}  // namespace

TEST_CASE("nothing is swept before there is any UDP frontend") {
  Fixture fixture;
  CHECK_FALSE(fixture.sweeper.is_due(kStart));
  fixture.sweeper.apply(dns({"10.244.1.5"}, rules::Protocol::kTcp));
  CHECK_FALSE(fixture.sweeper.is_due(kStart));
  CHECK_FALSE(fixture.sweeper.again());
  fixture.sweeper.apply(dns({"10.244.1.5"}));
  CHECK(fixture.sweeper.is_due(kStart));
}

TEST_CASE("a change is swept at once and once more a second later, and then it is over") {
  Fixture fixture;
  fixture.sweeper.apply(dns({"10.244.1.5", "10.244.1.6"}));
  fixture.settle(kStart - 1min);
  fixture.add_flow("10.96.0.10", 53, "10.244.1.5", 5353);
  fixture.sweeper.apply(dns({"10.244.1.6"}));
  CHECK(fixture.sweep(kStart) == 1);
  CHECK_FALSE(fixture.sweeper.is_due(kStart + 999ms));
  CHECK(fixture.sweeper.again() == kStart + 1s);
  // A packet that was under way during the commit.
  fixture.add_flow("10.96.0.10", 53, "10.244.1.5", 5353);
  CHECK(fixture.sweeper.is_due(kStart + 1s));
  CHECK(fixture.sweep(kStart + 1s) == 1);
  CHECK_FALSE(fixture.sweeper.again());
  CHECK_FALSE(fixture.sweeper.is_due(kStart + 1h));
}

TEST_CASE("a change between both sweeps has its own two") {
  Fixture fixture;
  fixture.sweeper.apply(dns({"10.244.1.5"}));
  (void)fixture.sweep(kStart);
  fixture.sweeper.apply(dns({"10.244.1.6"}));
  CHECK(fixture.sweeper.is_due(kStart + 500ms));
  (void)fixture.sweep(kStart + 500ms);
  CHECK(fixture.sweeper.again() == kStart + 1500ms);
}

TEST_CASE("a sweep that failed is told, keeps what it was about, and comes with the next change") {
  Fixture fixture;
  fixture.sweeper.apply(dns({"10.244.1.5"}));
  fixture.settle(kStart - 1min);
  fixture.add_flow("10.96.0.10", 53, "10.244.1.5", 5353);
  fixture.sweeper.apply({rules::Family::kIpv4, "demo/dns", rules::Protocol::kUdp, std::nullopt});
  fixture.kernel.fail_next_sweep(EPERM);
  const auto failed = fixture.sweeper.sweep(fixture.kernel, kStart);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == EPERM);
  CHECK_FALSE(fixture.sweeper.again());
  CHECK_FALSE(fixture.sweeper.is_due(kStart + 1h));
  fixture.sweeper.apply(dns({"10.244.1.6"}));
  CHECK(fixture.sweeper.is_due(kStart + 1h));
  CHECK(fixture.sweep(kStart + 1h) == 1);
}

TEST_CASE("host ports are frontends on the node's addresses, while they are in force") {
  Fixture fixture;
  rules::hostport::HostPorts host_ports;
  host_ports.set_pods({pod("10.244.1.5")});
  fixture.sweeper.follow(host_ports);
  fixture.settle(kStart);
  fixture.add_flow("192.168.77.2", 8053, "10.244.1.5", 53);
  fixture.add_flow("192.168.99.9", 8053, "10.244.1.5", 53);

  fixture.sweeper.follow(host_ports);
  CHECK_FALSE(fixture.sweeper.is_due(kStart + 1min));
  SECTION("the pod moves") {
    host_ports.set_pods({pod("10.244.1.6")});
    fixture.sweeper.follow(host_ports);
    CHECK(fixture.sweep(kStart + 1min) == 1);
  }
  SECTION("the pod goes") {
    host_ports.set_pods({});
    fixture.sweeper.follow(host_ports);
    CHECK(fixture.sweep(kStart + 1min) == 1);
  }
  SECTION("somebody else serves the port") {
    host_ports.refuse("demo/web");
    fixture.sweeper.follow(host_ports);
    CHECK(fixture.sweep(kStart + 1min) == 1);
  }
  SECTION("the node gets an address") {
    fixture.sweeper.set_node({}, std::array{ip("192.168.77.2"), ip("192.168.99.9")}, {});
    fixture.sweeper.follow(host_ports);
    fixture.add_flow("192.168.99.9", 8053, "10.244.1.7", 53);
    CHECK(fixture.sweep(kStart + 1min) == 1);
  }
}

TEST_CASE("what an earlier run served and nobody serves now is stale") {
  Fixture fixture;
  fixture.sweeper.apply(dns({"10.244.1.6"}));
  fixture.add_flow("10.96.0.20", 53, "10.244.1.5", 5353);
  fixture.add_flow("192.168.77.2", 30053, "10.244.1.5", 5353);
  fixture.add_flow("10.96.0.10", 53, "10.244.1.6", 5353);
  fixture.sweeper.add_left_over({.address = ip("10.96.0.20"), .port = 53});
  fixture.sweeper.add_left_over({.address = std::nullopt, .port = 30053});
  fixture.sweeper.add_left_over({.address = ip("10.96.0.10"), .port = 53});  // still in force
  CHECK(fixture.sweep(kStart) == 2);
}

}  // namespace kubenatd::agent::dataplane
