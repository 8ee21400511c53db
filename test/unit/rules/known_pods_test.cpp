#include "rules/hostport/known_pods.h"

#include <catch2/catch.hpp>

#include "rules/hostport/host_ports.h"

namespace kubenatd::rules::hostport {
namespace {

Address ip(const std::string& text) {
  return Address::parse(text).value();
}

/// Of an entry for 8080/tcp of the node.
Claim claim(const std::string& target, std::uint16_t target_port = 80) {
  return {.protocol = Protocol::kTcp,
          .port = 8080,
          .address = {},
          .owner = "chain CNI-DN-X",
          .target = ip(target),
          .target_port = target_port};
}

KnownPods::Holder holder(const std::string& address, std::uint16_t host_port = 8080,
                         std::uint16_t container_port = 80) {
  return {.mapping = {Protocol::kTcp, host_port, container_port, {}}, .address = ip(address)};
}

/// A node with pods 10.244.1.0/24, of which demo/web at 10.244.1.11 has hostPort 8080.
KnownPods node() {
  return {.holders = {holder("10.244.1.11")},
          .unsettled = {},
          .ranges = {*Prefix::parse("10.244.1.0/24")},
          .current = true};
}

PodPorts web() {
  return {.id = "demo/web", .address = ip("10.244.1.11"), .mappings = {{Protocol::kTcp, 8080, 80, {}}}};
}

}  // namespace

TEST_CASE("who is at the end of another writer's entry") {
  KnownPods pods = node();
  CHECK(judge(claim("10.244.1.11"), pods) == Verdict::kServes);
  CHECK(judge(claim("10.244.1.99"), pods) == Verdict::kDead);
  SECTION("the address went on to a pod with other ports") {
    pods.holders.push_back(holder("10.244.1.99", 8443, 443));
    CHECK(judge(claim("10.244.1.99"), pods) == Verdict::kDead);
    CHECK(judge(claim("10.244.1.11", 8080), pods) == Verdict::kDead);
  }
  SECTION("another pod wants the same port, and has that address") {
    pods.holders.push_back(holder("10.244.1.99"));
    CHECK(judge(claim("10.244.1.99"), pods) == Verdict::kServes);
  }
  SECTION("an address outside the range") {
    CHECK(judge(claim("10.244.2.99"), pods) == Verdict::kUnknown);
    CHECK(judge(claim("10.88.0.5"), pods) == Verdict::kUnknown);
    CHECK(judge(claim("fd00::99"), pods) == Verdict::kUnknown);
    pods.holders.push_back(holder("10.88.0.5"));
    CHECK(judge(claim("10.88.0.5"), pods) == Verdict::kServes);
  }
  SECTION("no range is known") {
    pods.ranges.clear();
    CHECK(judge(claim("10.244.1.99"), pods) == Verdict::kUnknown);
  }
  SECTION("a target that could not be read") {
    Claim unread = claim("10.244.1.99");
    unread.target.reset();
    CHECK(judge(unread, pods) == Verdict::kUnknown);
  }
  SECTION("a pod that is being set up has no address yet") {
    pods.unsettled = {{Protocol::kUdp, 8080, 80, {}}, {Protocol::kTcp, 8081, 80, {}}};
    CHECK(judge(claim("10.244.1.99"), pods) == Verdict::kDead);
    pods.unsettled.push_back({Protocol::kTcp, 8080, 80, ip("198.51.100.10")});
    CHECK(judge(claim("10.244.1.99"), pods) == Verdict::kUnsettled);
  }
  SECTION("translation to an address alone leaves the port as it is") {
    pods.holders = {holder("10.244.1.11", 8080, 8080)};
    CHECK(judge(claim("10.244.1.11", 0), pods) == Verdict::kServes);
  }
  SECTION("an entry of one address of the node") {
    Claim of_one = claim("10.244.1.11");
    of_one.address = ip("198.51.100.10");
    CHECK(judge(of_one, pods) == Verdict::kServes);
    pods.holders.front().mapping.host_ip = ip("198.51.100.11");
    CHECK(judge(of_one, pods) == Verdict::kDead);
  }
}

TEST_CASE("a port that is withheld for a dead entry says where that leads") {
  HostPorts ports;
  ports.set_known_pods(node());
  ports.set_pods({web()});
  ports.set_foreign({claim("10.244.1.99")});
  auto remarks = ports.take_remarks();
  REQUIRE(remarks.size() == 1);
  CHECK(to_text(remarks.front()) ==
        "Pod demo/web: hostPort 8080/tcp is withheld: chain CNI-DN-X leads to 10.244.1.99:80, where no Pod of this "
        "node has that hostPort");
  CHECK(ports.dead_among({claim("10.244.1.99"), claim("10.244.1.11")}) == std::vector{claim("10.244.1.99")});
  CHECK(to_text_of_removed(claim("10.244.1.99")) ==
        "the entry for hostPort 8080/tcp of chain CNI-DN-X leads to 10.244.1.99:80, where no Pod of this node has that "
        "hostPort: it is removed");
  // The Pod that it was written for is known now.
  KnownPods both = node();
  both.holders.push_back(holder("10.244.1.99"));
  ports.set_known_pods(both);
  remarks = ports.take_remarks();
  REQUIRE(remarks.size() == 1);
  CHECK(to_text(remarks.front()) == "Pod demo/web: hostPort 8080/tcp is withheld: chain CNI-DN-X serves it already");
  CHECK(ports.dead_among({claim("10.244.1.99")}).empty());
}

TEST_CASE("a dead entry that takes nothing from a pod stays") {
  HostPorts ports;
  ports.set_known_pods(node());
  Claim other = claim("10.244.1.99");
  CHECK(ports.dead_among({other}).empty());
  ports.set_pods({web()});
  CHECK(ports.dead_among({other}).size() == 1);
  other.port = 9090;
  CHECK(ports.dead_among({other}).empty());
  other.port = 8080;
  other.protocol = Protocol::kUdp;
  CHECK(ports.dead_among({other}).empty());
}

}  // namespace kubenatd::rules::hostport
