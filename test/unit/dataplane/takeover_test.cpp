#include "agent/dataplane/takeover.h"

#include <catch2/catch.hpp>

#include "agent/dataplane/foreign_host_ports.h"
#include "rules/hostport/names.h"

namespace kubenatd::agent::dataplane {
namespace {

using namespace rules::hostport;
using rules::Protocol;

rules::Address ip(const std::string& text) {
  return rules::Address::parse(text).value();
}

Claim claim(const std::string& target = "10.244.1.99", std::uint16_t port = 8080) {
  return {.protocol = Protocol::kTcp,
          .port = port,
          .address = {},
          .owner = "chain CNI-DN-X",
          .target = ip(target),
          .target_port = 80};
}

KnownPods node() {
  return {.holders = {{.mapping = {Protocol::kTcp, 8080, 80, {}}, .address = ip("10.244.1.11")}},
          .unsettled = {},
          .ranges = {*rules::Prefix::parse("10.244.1.0/24")},
          .current = true};
}

HostPorts host_ports() {
  HostPorts ports;
  ports.set_known_pods(node());
  ports.set_pods({{.id = "demo/web", .address = ip("10.244.1.11"), .mappings = {{Protocol::kTcp, 8080, 80, {}}}}});
  return ports;
}

constexpr Time kStart = Time{} + std::chrono::hours(1);
constexpr auto kGrace = Takeover::kGrace;
constexpr auto kMoment = std::chrono::milliseconds(1);

rules::Rule entry(const std::string& chain, std::vector<std::uint16_t> ports) {
  rules::Rule rule;
  rule.protocol = Protocol::kTcp;
  rule.matches = {rules::CommentMatch{R"(dnat name: "cbr0" id: "1")"}, rules::MultiportMatch{std::move(ports)}};
  rule.target = rules::Jump{chain};
  return rule;
}

rules::Rule of_port(std::uint16_t port, rules::Target target) {
  rules::Rule rule;
  rule.protocol = Protocol::kTcp;
  rule.matches = {rules::PortMatch{Protocol::kTcp, port}};
  rule.target = std::move(target);
  return rule;
}

std::vector<std::uint64_t> handles(const std::vector<DeadEntries::Place>& places) {
  std::vector<std::uint64_t> all;
  for (const DeadEntries::Place& place : places) all.push_back(place.handle);
  return all;
}

}  // namespace

TEST_CASE("a dead entry goes when it was dead for the whole time of grace") {
  HostPorts ports = host_ports();
  Takeover takeover;
  CHECK_FALSE(takeover.due());
  CHECK(takeover.look({claim()}, ports, kStart).size() == 1);
  CHECK(takeover.ripe().empty());
  CHECK(takeover.due() == kStart + kGrace);
  CHECK(takeover.look({claim()}, ports, kStart + kGrace - kMoment).size() == 1);
  CHECK(takeover.look({claim()}, ports, kStart + kGrace).empty());
  CHECK(takeover.ripe().size() == 1);
  // The transaction failed: it is due again, and comes to the same.
  CHECK(takeover.due() == kStart + kGrace);
  CHECK(takeover.look({claim()}, ports, kStart + kGrace + kMoment).empty());
  CHECK(takeover.removed() == std::vector{claim()});
  CHECK_FALSE(takeover.due());
  CHECK(takeover.ripe().empty());
  // Somebody writes it once more: from the start.
  CHECK(takeover.look({claim()}, ports, kStart + 2 * kGrace).size() == 1);
  CHECK(takeover.due() == kStart + 3 * kGrace);
}

TEST_CASE("the time of grace begins anew when an entry was not dead in between") {
  HostPorts ports = host_ports();
  Takeover takeover;
  (void)takeover.look({claim()}, ports, kStart);
  KnownPods pods = node();
  SECTION("a pod that waits for its address may be its owner") {
    pods.unsettled = {{Protocol::kTcp, 8080, 80, {}}};
  }
  SECTION("changes of pods are not heard of") {
    pods.current = false;
  }
  SECTION("the range of the pods is not known") {
    pods.ranges.clear();
  }
  SECTION("its pod is there") {
    pods.holders.push_back({{Protocol::kTcp, 8080, 80, {}}, ip("10.244.1.99")});
  }
  ports.set_known_pods(pods);
  takeover.look_again();
  CHECK(takeover.due() == Time{});
  CHECK(takeover.look({claim()}, ports, kStart + kGrace).size() == 1);
  CHECK_FALSE(takeover.due());
  ports.set_known_pods(node());
  takeover.look_again();
  CHECK(takeover.look({claim()}, ports, kStart + kGrace + kMoment).size() == 1);
  CHECK(takeover.due() == kStart + 2 * kGrace + kMoment);
}

TEST_CASE("claims are looked at when something has changed, or when a dead one is due") {
  Takeover takeover;
  const HostPorts ports = host_ports();
  CHECK_FALSE(takeover.must_look(kStart));
  (void)takeover.look({claim("10.244.1.11")}, ports, kStart);
  CHECK_FALSE(takeover.must_look(kStart + 2 * kGrace));
  takeover.look_again();
  CHECK(takeover.must_look(kStart));
  (void)takeover.look({claim()}, ports, kStart);
  CHECK_FALSE(takeover.must_look(kStart + kGrace - kMoment));
  CHECK(takeover.must_look(kStart + kGrace));
  // One that could not be removed is looked at until it is.
  (void)takeover.look({claim()}, ports, kStart + kGrace);
  CHECK(takeover.must_look(kStart + kGrace));
  (void)takeover.removed();
  CHECK_FALSE(takeover.must_look(kStart + 2 * kGrace));
}

TEST_CASE("what goes of dead entries in nat") {
  ForeignHostPorts seen;
  const std::string chain = "CNI-DN-0d1f6a9b3c2e7f5a4b801";
  const rules::Target mark = rules::Jump{std::string(kMarkChain)};
  seen.note(kDnatChain, entry(chain, {8080, 8443}), 5);
  seen.note(kDnatChain, entry("CNI-DN-aaaaaaaaaaaaaaaaaaaaa", {9090}), 6);
  seen.note("CNI-DN-aaaaaaaaaaaaaaaaaaaaa", of_port(9090, rules::DnatTarget{ip("10.244.1.12"), 80}), 10);
  seen.note(chain, of_port(8080, mark), 20);
  seen.note(chain, of_port(8080, rules::DnatTarget{ip("10.244.1.99"), 80}), 21);
  seen.note(chain, of_port(8443, mark), 22);
  SECTION("an entry with nothing else goes whole") {
    seen.note(chain, of_port(8443, rules::DnatTarget{ip("10.244.1.99"), 443}), 23);
    const auto claims = host_ports().dead_among(seen.claims());
    REQUIRE(claims.size() == 1);
    const DeadEntries dead = dead_entries({seen, {}}, claims, node());
    CHECK(handles(dead.rules) == std::vector<std::uint64_t>{5, 20, 21, 22, 23});
    CHECK(dead.rules.front().chain == kDnatChain);
    CHECK(dead.chains == std::vector<std::string>{chain});
  }
  SECTION("of another one only what translates the port, and what marks its packets") {
    KnownPods pods = node();
    pods.holders.push_back({{Protocol::kTcp, 8443, 443, {}}, ip("10.244.1.99")});
    seen.note(chain, of_port(8443, rules::DnatTarget{ip("10.244.1.99"), 443}), 23);
    const DeadEntries dead = dead_entries({seen, {}}, host_ports().dead_among(seen.claims()), pods);
    CHECK(handles(dead.rules) == std::vector<std::uint64_t>{20, 21});
    CHECK(dead.chains.empty());
  }
  SECTION("what is not understood is left alone and counts") {
    rules::Rule several = of_port(8080, rules::DnatTarget{ip("10.244.1.99"), 80});
    several.matches = {rules::MultiportMatch{{8080, 8443}}};
    seen.clear();
    seen.note(kDnatChain, entry(chain, {8080, 8443}), 5);
    seen.note(chain, several, 21);
    CHECK(seen.claims().size() == 1);
    CHECK(host_ports().dead_among(seen.claims()).empty());
  }
}

}  // namespace kubenatd::agent::dataplane
