#include "agent/state/stale_flows.h"

#include <catch2/catch.hpp>
#include <initializer_list>
#include <string>
#include <vector>

namespace kubenatd::agent::state {
namespace {

rules::Address ip(const std::string& text) {
  return rules::Address::parse(text).value();
}

rules::Endpoint serving(const std::string& address, std::uint16_t port) {
  rules::Endpoint endpoint;
  endpoint.address = ip(address);
  endpoint.port = port;
  endpoint.is_serving = true;
  return endpoint;
}

rules::ServicePortView dns(std::initializer_list<rules::Endpoint> endpoints) {
  rules::ServicePortView view;
  view.name = "kube-system/dns:dns";
  view.protocol = rules::Protocol::kUdp;
  view.cluster_ip = ip("10.96.0.10");
  view.port = 53;
  view.endpoints = endpoints;
  return view;
}

FlowView flow(const std::string& to, std::uint16_t to_port, const std::string& from, std::uint16_t from_port) {
  return {ip(to), to_port, ip(from), from_port};
}

NodeAddresses node(std::initializer_list<rules::Address> addresses, std::initializer_list<const char*> prefixes = {}) {
  std::vector<rules::Prefix> by_route;
  for (const char* prefix : prefixes) by_route.push_back(rules::Prefix::parse(prefix).value());
  return {rules::Family::kIpv4, std::vector(addresses), by_route};
}

struct Ipv4 : UdpFrontends {
  explicit Ipv4(Precedence precedence = Precedence::kInTurn) : UdpFrontends(rules::Family::kIpv4, precedence) {}
};

}  // namespace

TEST_CASE("a flow to a frontend is right only while its endpoint serves") {
  Ipv4 frontends;
  frontends.upsert(dns({serving("10.244.1.5", 5353), serving("10.244.1.6", 5353)}));
  CHECK_FALSE(frontends.is_stale(flow("10.96.0.10", 53, "10.244.1.5", 5353)));

  SECTION("endpoint gone") {
    frontends.upsert(dns({serving("10.244.1.6", 5353)}));
    CHECK(frontends.is_stale(flow("10.96.0.10", 53, "10.244.1.5", 5353)));
    CHECK_FALSE(frontends.is_stale(flow("10.96.0.10", 53, "10.244.1.6", 5353)));
  }
  SECTION("endpoint's port changed") {
    frontends.upsert(dns({serving("10.244.1.5", 53)}));
    CHECK(frontends.is_stale(flow("10.96.0.10", 53, "10.244.1.5", 5353)));
  }
  SECTION("endpoint no longer serving, though still known") {
    rules::ServicePortView view = dns({serving("10.244.1.5", 5353)});
    view.endpoints[0].is_serving = false;
    frontends.upsert(view);
    CHECK(frontends.is_stale(flow("10.96.0.10", 53, "10.244.1.5", 5353)));
  }
  SECTION("scaled to zero") {
    frontends.upsert(dns({}));
    CHECK(frontends.is_stale(flow("10.96.0.10", 53, "10.244.1.5", 5353)));
  }
  SECTION("readiness and policy do not matter") {
    rules::ServicePortView view = dns({serving("10.244.1.5", 5353)});
    view.internal_policy_local = true;
    view.endpoints[0].is_ready = false;
    view.endpoints[0].for_cluster = false;
    frontends.upsert(view);
    CHECK_FALSE(frontends.is_stale(flow("10.96.0.10", 53, "10.244.1.5", 5353)));
  }
}

TEST_CASE("a flow that was let through without DNAT is stale, with and without endpoints") {
  Ipv4 frontends;
  frontends.upsert(dns({}));
  CHECK(frontends.is_stale(flow("10.96.0.10", 53, "10.96.0.10", 53)));
  frontends.upsert(dns({serving("10.244.1.5", 5353)}));
  CHECK(frontends.is_stale(flow("10.96.0.10", 53, "10.96.0.10", 53)));
}

TEST_CASE("flows that address no frontend are left alone") {
  Ipv4 frontends;
  frontends.upsert(dns({serving("10.244.1.5", 5353)}));
  CHECK_FALSE(frontends.is_stale(flow("10.96.0.10", 54, "10.96.0.10", 54)));      // another port
  CHECK_FALSE(frontends.is_stale(flow("10.96.0.11", 53, "10.244.1.9", 5353)));    // another address
  CHECK_FALSE(frontends.is_stale(flow("10.244.1.5", 5353, "10.244.1.5", 5353)));  // straight to a pod
}

TEST_CASE("external and load balancer addresses are frontends too") {
  Ipv4 frontends;
  rules::ServicePortView view = dns({serving("10.244.1.5", 5353)});
  view.external_ips = {ip("192.0.2.7")};
  view.load_balancer_ips = {ip("198.51.100.9")};
  frontends.upsert(view);
  for (const char* address : {"192.0.2.7", "198.51.100.9"}) {
    CHECK_FALSE(frontends.is_stale(flow(address, 53, "10.244.1.5", 5353)));
    CHECK(frontends.is_stale(flow(address, 53, "10.244.1.6", 5353)));
  }
}

TEST_CASE("a NodePort counts on the node's addresses only") {
  Ipv4 frontends;
  rules::ServicePortView view = dns({serving("10.244.1.5", 5353)});
  view.node_port = 30053;
  frontends.upsert(view);
  CHECK_FALSE(frontends.is_stale(flow("192.168.77.2", 30053, "10.244.1.6", 5353)));

  frontends.set_node_addresses(node({ip("192.168.77.2"), ip("127.0.0.1")}));
  CHECK(frontends.is_stale(flow("192.168.77.2", 30053, "10.244.1.6", 5353)));
  CHECK(frontends.is_stale(flow("127.0.0.5", 30053, "10.244.1.6", 5353)));
  CHECK_FALSE(frontends.is_stale(flow("192.168.77.2", 30053, "10.244.1.5", 5353)));
  // Somebody else's port 30053: a pod's client that talks to a server outside.
  CHECK_FALSE(frontends.is_stale(flow("203.0.113.1", 30053, "203.0.113.1", 30053)));

  frontends.set_node_addresses(node({ip("192.168.77.2")}));
  CHECK_FALSE(frontends.is_stale(flow("127.0.0.5", 30053, "10.244.1.6", 5353)));
}

TEST_CASE("a NodePort counts on addresses that are local by a route") {
  Ipv4 frontends;
  rules::ServicePortView view = dns({serving("10.244.1.5", 5353)});
  view.node_port = 30053;
  frontends.upsert(view);
  frontends.swept();
  frontends.set_node_addresses(node({ip("192.168.77.2")}, {"203.0.113.5/32", "203.0.113.128/28"}));
  CHECK(frontends.needs_sweep());
  frontends.swept();
  frontends.set_node_addresses(node({ip("203.0.113.5"), ip("192.168.77.2")}, {"203.0.113.128/28", "203.0.113.128/28"}));
  CHECK_FALSE(frontends.needs_sweep());  // the same in other words

  std::vector<std::string> asked;
  bool is_local = true;
  const auto ask = [&](const rules::Address& address) {
    asked.push_back(address.to_string());
    return is_local;
  };
  CHECK(frontends.is_stale(flow("203.0.113.5", 30053, "10.244.1.6", 5353), ask));
  CHECK_FALSE(frontends.is_stale(flow("203.0.113.5", 30053, "10.244.1.5", 5353), ask));
  CHECK_FALSE(frontends.is_stale(flow("203.0.113.6", 30053, "10.244.1.6", 5353), ask));
  CHECK(asked.empty());  // nothing leads elsewhere from a single address
  CHECK(frontends.is_stale(flow("203.0.113.130", 30053, "10.244.1.6", 5353), ask));
  CHECK_FALSE(frontends.is_stale(flow("203.0.113.130", 30053, "10.244.1.5", 5353), ask));
  CHECK_FALSE(frontends.is_stale(flow("203.0.113.144", 30053, "10.244.1.6", 5353), ask));
  CHECK_FALSE(frontends.is_stale(flow("203.0.113.130", 30054, "10.244.1.6", 5353), ask));
  CHECK(asked == std::vector<std::string>{"203.0.113.130", "203.0.113.130"});
  CHECK(frontends.is_stale(flow("203.0.113.130", 30053, "10.244.1.6", 5353)));
  is_local = false;  // a longer route has it: the flow is somebody else's
  CHECK_FALSE(frontends.is_stale(flow("203.0.113.130", 30053, "203.0.113.130", 30053), ask));

  frontends.erase(view.name);
  CHECK(frontends.is_stale(flow("203.0.113.5", 30053, "10.244.1.5", 5353), ask));
  CHECK_FALSE(frontends.is_stale(flow("203.0.113.130", 30053, "10.244.1.5", 5353), ask));
  is_local = true;
  CHECK(frontends.is_stale(flow("203.0.113.130", 30053, "10.244.1.5", 5353), ask));
}

TEST_CASE("a hostPort counts on all that is local whatever NodePorts answer on") {
  Ipv4 frontends;
  frontends.set_node_addresses(node({ip("192.168.77.2")}));
  frontends.set_local(node({ip("192.168.77.2"), ip("192.168.77.3"), ip("127.0.0.1")}, {"203.0.113.128/28"}));
  rules::ServicePortView pod;
  pod.name = "hostPort demo/pod";
  pod.protocol = rules::Protocol::kUdp;
  pod.node_port = 5354;
  pod.cluster_ip = {};
  pod.endpoints = {serving("10.244.1.5", 5353)};
  SECTION("in force") {
    frontends.upsert(pod, UdpFrontends::Claimant::kHostPort);
    CHECK(frontends.needs_sweep());
    for (const char* address : {"192.168.77.2", "192.168.77.3", "127.0.0.9", "203.0.113.130"}) {
      INFO(address);
      CHECK(frontends.is_stale(flow(address, 5354, "10.244.1.6", 5353)));
      CHECK_FALSE(frontends.is_stale(flow(address, 5354, "10.244.1.5", 5353)));
    }
    CHECK_FALSE(frontends.is_stale(flow("203.0.113.1", 5354, "10.244.1.6", 5353)));
    frontends.swept();
    frontends.set_local(node({ip("192.168.77.2")}));
    CHECK(frontends.needs_sweep());
    frontends.swept();
    frontends.erase(pod.name);
    CHECK(frontends.is_stale(flow("192.168.77.2", 5354, "10.244.1.5", 5353)));
    CHECK_FALSE(frontends.is_stale(flow("192.168.77.3", 5354, "10.244.1.5", 5353)));
  }
  SECTION("of an earlier run") {
    frontends.add_removed_host_port(5354);
    CHECK(frontends.needs_sweep());
    CHECK(frontends.is_stale(flow("203.0.113.130", 5354, "10.244.1.5", 5353)));
    frontends.upsert(pod, UdpFrontends::Claimant::kHostPort);
    CHECK_FALSE(frontends.is_stale(flow("203.0.113.130", 5354, "10.244.1.5", 5353)));
  }
  SECTION("beside a NodePort of the same number") {
    rules::ServicePortView view = dns({serving("10.244.2.7", 53)});
    view.node_port = 5354;
    frontends.upsert(view);
    frontends.upsert(pod, UdpFrontends::Claimant::kHostPort);
    CHECK_FALSE(frontends.is_stale(flow("192.168.77.2", 5354, "10.244.1.5", 5353)));
    CHECK_FALSE(frontends.is_stale(flow("192.168.77.2", 5354, "10.244.2.7", 53)));
    CHECK(frontends.is_stale(flow("192.168.77.3", 5354, "10.244.2.7", 53)));
  }
}

TEST_CASE("the entries of a removed frontend are stale until they have been swept") {
  Ipv4 frontends;
  frontends.set_node_addresses(node({ip("192.168.77.2")}));
  rules::ServicePortView view = dns({serving("10.244.1.5", 5353)});
  view.node_port = 30053;
  view.external_ips = {ip("192.0.2.7")};
  frontends.upsert(view);

  SECTION("the whole service port") {
    frontends.erase(view.name);
    CHECK(frontends.size() == 0);
    CHECK(frontends.needs_sweep());
    CHECK(frontends.is_stale(flow("10.96.0.10", 53, "10.244.1.5", 5353)));
    CHECK(frontends.is_stale(flow("192.0.2.7", 53, "10.244.1.5", 5353)));
    CHECK(frontends.is_stale(flow("192.168.77.2", 30053, "10.244.1.5", 5353)));
    // Without DNAT it is now an ordinary flow.
    CHECK_FALSE(frontends.is_stale(flow("192.0.2.7", 53, "192.0.2.7", 53)));
    CHECK_FALSE(frontends.is_stale(flow("203.0.113.1", 30053, "203.0.113.2", 1)));
    frontends.swept();
    CHECK_FALSE(frontends.is_stale(flow("10.96.0.10", 53, "10.244.1.5", 5353)));
    CHECK_FALSE(frontends.is_stale(flow("192.168.77.2", 30053, "10.244.1.5", 5353)));
  }
  SECTION("one address of it") {
    view.external_ips.clear();
    frontends.upsert(view);
    CHECK(frontends.is_stale(flow("192.0.2.7", 53, "10.244.1.5", 5353)));
    CHECK_FALSE(frontends.is_stale(flow("10.96.0.10", 53, "10.244.1.5", 5353)));
  }
  SECTION("its NodePort") {
    view.node_port = 30054;
    frontends.upsert(view);
    CHECK(frontends.is_stale(flow("192.168.77.2", 30053, "10.244.1.5", 5353)));
    CHECK_FALSE(frontends.is_stale(flow("192.168.77.2", 30054, "10.244.1.5", 5353)));
  }
  SECTION("its protocol became TCP") {
    view.protocol = rules::Protocol::kTcp;
    frontends.upsert(view);
    CHECK(frontends.size() == 0);
    CHECK(frontends.is_stale(flow("10.96.0.10", 53, "10.244.1.5", 5353)));
  }
  SECTION("it came back before the sweep") {
    frontends.erase(view.name);
    frontends.upsert(view);
    CHECK_FALSE(frontends.is_stale(flow("10.96.0.10", 53, "10.244.1.5", 5353)));
    CHECK_FALSE(frontends.is_stale(flow("192.168.77.2", 30053, "10.244.1.5", 5353)));
    CHECK(frontends.is_stale(flow("10.96.0.10", 53, "10.244.1.6", 5353)));
  }
}

TEST_CASE("frontends of an earlier run can be named as removed") {
  Ipv4 frontends;
  frontends.set_node_addresses(node({ip("192.168.77.2")}));
  CHECK_FALSE(frontends.needs_sweep());
  frontends.add_removed(ip("10.96.0.10"), 53);
  frontends.add_removed_node_port(30053);
  CHECK(frontends.needs_sweep());
  CHECK(frontends.is_stale(flow("10.96.0.10", 53, "10.244.1.5", 5353)));
  CHECK(frontends.is_stale(flow("192.168.77.2", 30053, "10.244.1.5", 5353)));

  // One that is in force is not removed, whoever says so.
  frontends.upsert(dns({serving("10.244.1.5", 5353)}));
  frontends.add_removed(ip("10.96.0.10"), 53);
  CHECK_FALSE(frontends.is_stale(flow("10.96.0.10", 53, "10.244.1.5", 5353)));
}

TEST_CASE("two service ports with one frontend: an endpoint of either makes the flow right") {
  Ipv4 frontends;
  frontends.set_node_addresses(node({ip("192.168.77.2")}));
  rules::ServicePortView first = dns({serving("10.244.1.5", 5353)});
  first.external_ips = {ip("192.0.2.7")};
  rules::ServicePortView second = dns({serving("10.244.2.8", 5353)});
  second.name = "other/dns:dns";
  second.cluster_ip = ip("10.96.0.99");
  second.external_ips = {ip("192.0.2.7")};
  frontends.upsert(first);
  frontends.upsert(second);
  CHECK_FALSE(frontends.is_stale(flow("192.0.2.7", 53, "10.244.1.5", 5353)));
  CHECK_FALSE(frontends.is_stale(flow("192.0.2.7", 53, "10.244.2.8", 5353)));
  CHECK(frontends.is_stale(flow("192.0.2.7", 53, "10.244.3.3", 5353)));

  frontends.erase(first.name);
  CHECK(frontends.is_stale(flow("192.0.2.7", 53, "10.244.1.5", 5353)));
  CHECK_FALSE(frontends.is_stale(flow("192.0.2.7", 53, "10.244.2.8", 5353)));

  // The node's own address as an external IP, with the number of another one's NodePort.
  rules::ServicePortView third = dns({serving("10.244.4.4", 53)});
  third.name = "other/third";
  third.cluster_ip = ip("10.96.0.100");
  third.node_port = 30053;
  rules::ServicePortView fourth = dns({serving("10.244.5.5", 53)});
  fourth.name = "other/fourth";
  fourth.cluster_ip = ip("10.96.0.101");
  fourth.port = 30053;
  fourth.external_ips = {ip("192.168.77.2")};
  frontends.upsert(third);
  frontends.upsert(fourth);
  CHECK_FALSE(frontends.is_stale(flow("192.168.77.2", 30053, "10.244.4.4", 53)));
  CHECK_FALSE(frontends.is_stale(flow("192.168.77.2", 30053, "10.244.5.5", 53)));
  CHECK(frontends.is_stale(flow("192.168.77.2", 30053, "10.244.5.6", 53)));
}

TEST_CASE("only UDP of the own family is taken") {
  Ipv4 frontends;
  for (const rules::Protocol protocol : {rules::Protocol::kTcp, rules::Protocol::kSctp}) {
    rules::ServicePortView view = dns({});
    view.protocol = protocol;
    frontends.upsert(view);
  }
  rules::ServicePortView v6 = dns({});
  v6.cluster_ip = ip("fd00:96::10");
  frontends.upsert(v6);
  CHECK(frontends.size() == 0);
  CHECK_FALSE(frontends.needs_sweep());
  CHECK_FALSE(frontends.is_stale(flow("10.96.0.10", 53, "10.244.1.5", 5353)));

  UdpFrontends other(rules::Family::kIpv6, Precedence::kInTurn);
  v6.endpoints = {serving("fd00:244::5", 5353)};
  other.upsert(v6);
  CHECK_FALSE(other.is_stale(flow("fd00:96::10", 53, "fd00:244::5", 5353)));
  CHECK(other.is_stale(flow("fd00:96::10", 53, "fd00:244::6", 5353)));
}

TEST_CASE("a sweep is due after a change that matters, and only then") {
  Ipv4 frontends;
  CHECK_FALSE(frontends.needs_sweep());
  rules::ServicePortView view = dns({serving("10.244.1.5", 5353)});
  frontends.upsert(view);
  CHECK(frontends.needs_sweep());
  frontends.swept();
  CHECK_FALSE(frontends.needs_sweep());

  frontends.upsert(view);
  view.affinity_seconds = 10;
  view.endpoints[0].is_ready = true;
  frontends.upsert(view);
  frontends.erase("no/such");
  frontends.set_node_addresses(node({ip("192.168.77.2")}));  // no NodePort: nothing can change
  CHECK_FALSE(frontends.needs_sweep());

  view.node_port = 30053;
  frontends.upsert(view);
  CHECK(frontends.needs_sweep());
  frontends.swept();
  frontends.set_node_addresses(node({ip("192.168.77.2"), ip("192.168.77.3")}));
  CHECK(frontends.needs_sweep());
  frontends.swept();
  frontends.set_node_addresses(node({ip("192.168.77.3"), ip("192.168.77.2")}));
  CHECK_FALSE(frontends.needs_sweep());

  view.endpoints.push_back(serving("10.244.1.6", 5353));
  frontends.upsert(view);
  CHECK(frontends.needs_sweep());
}

TEST_CASE("removed frontends do not pile up without bound") {
  Ipv4 frontends;
  rules::Address address = ip("10.96.0.0");
  for (std::uint32_t i = 0; i < UdpFrontends::kMostRemoved + 1000; ++i) {
    address.bytes[1] = static_cast<std::uint8_t>(i >> 16);
    address.bytes[2] = static_cast<std::uint8_t>(i >> 8);
    address.bytes[3] = static_cast<std::uint8_t>(i);
    frontends.add_removed(address, 53);
  }
  // The last one came too late to be remembered.
  CHECK_FALSE(frontends.is_stale({address, 53, ip("10.244.1.5"), 53}));
  CHECK(frontends.is_stale(flow("10.0.0.0", 53, "10.244.1.5", 53)));
}

/// Services that claim 203.0.113.60:53, each with one endpoint.
rules::ServicePortView claimant(const std::string& name, const std::string& endpoint) {
  rules::ServicePortView view = dns({serving(endpoint, 5353)});
  view.name = "demo/" + name;
  view.cluster_ip = ip(name == "blue" ? "10.96.13.1" : "10.96.13.2");
  view.external_ips = {ip("203.0.113.60")};
  view.has_endpoints = view.endpoints[0].for_cluster = true;
  return view;
}

TEST_CASE("of several claimants the one to whom the rules lead makes a flow right") {
  rules::ServicePortView blue = claimant("blue", "10.244.1.1"), green = claimant("green", "10.244.1.2");
  const FlowView to_blue = flow("203.0.113.60", 53, "10.244.1.1", 5353);
  const FlowView to_green = flow("203.0.113.60", 53, "10.244.1.2", 5353);
  for (const Precedence precedence : {Precedence::kInTurn, Precedence::kOneOwner}) {
    Ipv4 frontends(precedence);
    frontends.upsert(green);
    frontends.upsert(blue);
    CHECK_FALSE(frontends.is_stale(to_blue));
    CHECK(frontends.is_stale(to_green));
    CHECK_FALSE(frontends.is_stale(flow("10.96.13.2", 53, "10.244.1.2", 5353)));
    frontends.swept();

    rules::ServicePortView idle = blue;
    idle.endpoints.clear();
    idle.has_endpoints = false;
    frontends.upsert(idle);
    CHECK(frontends.needs_sweep());
    CHECK(frontends.is_stale(to_blue));
    CHECK_FALSE(frontends.is_stale(to_green));
    frontends.swept();
    // It serves still, but is not chosen: only who else claims the frontend makes a difference.
    rules::ServicePortView unready = blue;
    unready.endpoints[0].for_cluster = unready.has_endpoints = false;
    frontends.upsert(blue);
    frontends.swept();
    frontends.upsert(unready);
    CHECK(frontends.needs_sweep());
    CHECK_FALSE(frontends.is_stale(to_green));
    frontends.erase("demo/green");
    frontends.swept();
    frontends.upsert(blue);
    CHECK_FALSE(frontends.needs_sweep());
    CHECK_FALSE(frontends.is_stale(to_blue));
  }
}

TEST_CASE("in iptables mode what one service port leaves goes to the next") {
  const FlowView to_blue = flow("203.0.113.60", 53, "10.244.1.1", 5353);
  const FlowView to_green = flow("203.0.113.60", 53, "10.244.1.2", 5353);
  rules::ServicePortView blue = claimant("blue", "10.244.1.1");
  SECTION("policy Local without an endpoint here: pods reach it, others do not") {
    blue.external_policy_local = true;
  }
  SECTION("source ranges") {
    blue.load_balancer_ips = {ip("203.0.113.60")};
    blue.source_ranges = {rules::Prefix::parse("192.0.2.0/24").value()};
  }
  Ipv4 in_turn(Precedence::kInTurn), one_owner(Precedence::kOneOwner);
  for (Ipv4* frontends : {&in_turn, &one_owner}) {
    frontends->upsert(blue);
    frontends->upsert(claimant("green", "10.244.1.2"));
  }
  CHECK_FALSE(in_turn.is_stale(to_blue));
  CHECK_FALSE(in_turn.is_stale(to_green));
  CHECK(one_owner.is_stale(to_blue) != one_owner.is_stale(to_green));
  CHECK(one_owner.is_stale(to_green) == !blue.external_policy_local);
}

TEST_CASE("a host port takes what a Service of the same frontend leaves") {
  rules::ServicePortView host_port = dns({serving("10.244.1.9", 53)});
  host_port.name = "hostPort 203.0.113.60:53/udp";
  host_port.cluster_ip = {};
  host_port.external_ips = {ip("203.0.113.60")};
  Ipv4 frontends(Precedence::kOneOwner);
  frontends.upsert(host_port, UdpFrontends::Claimant::kHostPort);
  frontends.upsert(claimant("green", "10.244.1.2"));
  CHECK_FALSE(frontends.is_stale(flow("203.0.113.60", 53, "10.244.1.2", 5353)));
  CHECK_FALSE(frontends.is_stale(flow("203.0.113.60", 53, "10.244.1.9", 53)));
  CHECK(frontends.is_stale(flow("203.0.113.60", 53, "10.244.1.1", 5353)));
}

}  // namespace kubenatd::agent::state
