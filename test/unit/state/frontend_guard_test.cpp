#include "agent/state/frontend_guard.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "agent/state/host_port_state.h"
#include "agent/state/withheld.h"
#include "test/unit/state/service_state_support.h"

namespace kubenatd::agent::state {
namespace {

objects::Service kubernetes() {
  objects::Service service;
  service.key = {"default", "kubernetes"};
  service.cluster_ips = {ip("10.96.0.1")};
  service.ports = {{"https", Protocol::kTcp, 443, 0, ""}};
  return service;
}

objects::EndpointSlice api_servers(const std::vector<std::string>& addresses) {
  objects::EndpointSlice slice = state::slice("kubernetes", addresses);
  slice.key.ns = "default";
  slice.service = "kubernetes";
  slice.ports = {{"https", 6443, Protocol::kTcp}};
  return slice;
}

/// A Service of somebody who wants other people's traffic; it comes first by name.
objects::Service thief(std::uint16_t port = 443) {
  objects::Service service;
  service.key = {"attic", "thief"};
  service.cluster_ips = {ip("10.96.6.6")};
  service.ports = {{"", Protocol::kTcp, port, 0, ""}};
  return service;
}

GuardedNode node() {
  return {.addresses = {ip("192.168.77.2")},
          .local_addresses = {ip("10.244.1.1"), ip("192.168.77.2"), ip("192.168.88.2")},
          .ports = {{.port = 10256, .address = {}, .holder = "kubenatd's healthz"},
                    {.port = 10250, .address = {}, .on_every_node = true, .holder = "the kubelet"},
                    {.port = 22, .address = ip("192.168.88.2"), .holder = "sshd"}},
          .external_ranges = {},
          .load_balancer_ranges = {}};
}

const rules::ServicePortView& view_of(const Follower& follower, const char* name) {
  return follower.views.at({Family::kIpv4, name, Protocol::kTcp});
}

using Addresses = std::vector<rules::Address>;

TEST_CASE("the API server's cluster IP is nobody's external address at any port whichever Service comes first") {
  for (const bool thief_first : {false, true})
    for (const std::uint16_t port : {443, 8443}) {
      Follower follower;
      objects::Service service = thief(port);
      service.external_ips = {ip("10.96.0.1"), ip("203.0.113.1")};
      service.load_balancer_ips = {ip("10.96.0.1"), ip("203.0.113.2")};
      if (thief_first) follower.take(put(service));
      follower.take(put(kubernetes()));
      if (!thief_first) follower.take(put(service));
      CHECK(view_of(follower, "attic/thief").external_ips == Addresses{ip("203.0.113.1")});
      CHECK(view_of(follower, "attic/thief").load_balancer_ips == Addresses{ip("203.0.113.2")});
      CHECK(view_of(follower, "default/kubernetes:https").cluster_ip == ip("10.96.0.1"));
      CHECK(follower.state.take_remarks() ==
            Lines{"Service attic/thief: external IP 10.96.0.1:" + std::to_string(port) +
                      "/tcp is left out: it is the cluster IP of default/kubernetes",
                  "Service attic/thief: load balancer IP 10.96.0.1:" + std::to_string(port) +
                      "/tcp is left out: it is the cluster IP of default/kubernetes"});
      CHECK(follower.state.left_out().all().at({"attic", "thief"}).count == 2);
      CHECK(follower.state.take_remarks().empty());

      follower.take({objects::Kind::kService, {"default", "kubernetes"}, nullptr});
      CHECK(view_of(follower, "attic/thief").external_ips.size() == 2);
      CHECK(follower.state.left_out().all().empty());
    }
}

TEST_CASE("another Service's cluster IP is a claim like any other") {
  Follower follower;
  objects::Service service = thief();
  service.external_ips = web().cluster_ips;
  follower.take(put(service));
  follower.take(put(web()));
  CHECK(view_of(follower, "attic/thief").external_ips == web().cluster_ips);
  CHECK(follower.state.left_out().all().empty());
}

TEST_CASE("the cluster IP of the API server is no other Service's") {
  Follower follower;
  objects::Service service = thief();
  service.cluster_ips = {ip("10.96.0.1")};
  service.ports[0].node_port = 30443;
  follower.take(put(service));
  CHECK(view_of(follower, "attic/thief").cluster_ip == ip("10.96.0.1"));
  follower.take(put(kubernetes()));
  CHECK_FALSE(has_cluster_ip(view_of(follower, "attic/thief")));
  CHECK(view_of(follower, "attic/thief").node_port == 30443);
  CHECK(has_cluster_ip(view_of(follower, "default/kubernetes:https")));
}

TEST_CASE("what the API server answers at is nobody's frontend") {
  Follower follower;
  follower.state.set_guarded(node());
  objects::Service service = thief(6443);
  service.external_ips = {ip("192.168.77.2"), ip("192.168.77.9")};
  service.load_balancer_ips = {ip("192.168.77.9")};
  service.ports[0].node_port = 6443;
  follower.take(put(service));
  CHECK(view_of(follower, "attic/thief").external_ips.size() == 2);
  CHECK(view_of(follower, "attic/thief").node_port == 6443);

  follower.take(put(api_servers({"192.168.77.9"})));
  CHECK(view_of(follower, "attic/thief").external_ips == Addresses{ip("192.168.77.2")});
  CHECK(view_of(follower, "attic/thief").load_balancer_ips.empty());
  CHECK(view_of(follower, "attic/thief").node_port == 6443);  // it is another node's address
  follower.take(put(api_servers({"192.168.77.2"})));
  CHECK(view_of(follower, "attic/thief").external_ips == Addresses{ip("192.168.77.9")});
  CHECK(view_of(follower, "attic/thief").node_port == 0);
  follower.take({objects::Kind::kEndpointSlice, {"default", "kubernetes"}, nullptr});
  CHECK(view_of(follower, "attic/thief").external_ips.size() == 2);
  CHECK(view_of(follower, "attic/thief").node_port == 6443);
}

TEST_CASE("ports of the node stay the node's and its other ports may be claimed") {
  const auto claimed = [](std::uint16_t port, const std::vector<std::string>& external,
                          const std::vector<std::string>& balanced) {
    Follower follower;
    follower.state.set_guarded(node());
    objects::Service service = thief(port);
    service.ports[0].node_port = port;
    for (const std::string& address : external) service.external_ips.push_back(ip(address));
    for (const std::string& address : balanced) service.load_balancer_ips.push_back(ip(address));
    follower.take(put(service));
    const auto& view = view_of(follower, "attic/thief");
    return std::tuple(view.external_ips.size(), view.load_balancer_ips.size(), view.node_port);
  };
  const std::vector<std::string> own{"192.168.77.2", "192.168.88.2"};
  CHECK(claimed(80, own, own) == std::tuple(2, 2, 80));
  CHECK(claimed(10256, own, own) == std::tuple(0, 1, 0));  // a controller may have put the other one there
  CHECK(claimed(22, own, {"192.168.88.2"}) == std::tuple(1, 1, 0));
  CHECK(claimed(22, {"203.0.113.9"}, {}) == std::tuple(1, 0, 0));
  CHECK(claimed(10256, {"203.0.113.9"}, {}) == std::tuple(1, 0, 0));
  // The API server connects to the kubelet of any node, from any.
  CHECK(claimed(10250, {"192.168.77.3"}, {"192.168.77.4"}) == std::tuple(0, 0, 0));
}

TEST_CASE("why a frontend is withheld is told of those that the view has lost and of no others") {
  Follower follower;
  follower.state.set_guarded(node());
  follower.take(put(kubernetes()));
  objects::Service service = thief(10256);
  service.external_ips = {ip("192.168.77.2"), ip("203.0.113.9"), ip("10.96.0.1")};
  service.load_balancer_ips = {ip("192.168.88.2"), ip("127.0.0.1")};
  service.ports[0].node_port = GENERATE(22, 30443);
  follower.take(put(service));
  const std::vector<rules::Frontend> left = frontends_of(view_of(follower, "attic/thief"));
  CHECK(left.size() >= 3);
  std::vector<rules::Frontend> asked{{std::nullopt, Protocol::kTcp, service.ports[0].node_port}};
  for (const auto* addresses : {&service.cluster_ips, &service.external_ips, &service.load_balancer_ips})
    for (const rules::Address& address : *addresses) asked.push_back({address, Protocol::kTcp, 10256});
  for (const rules::Frontend& frontend : asked) {
    INFO(to_text(frontend));
    const auto why = why_withheld(follower.state.guard(), service, frontend);
    CHECK(why.has_value() == (std::ranges::find(left, frontend) == left.end()));
  }
  // It does not ask for these.
  CHECK_FALSE(why_withheld(follower.state.guard(), service, {ip("192.168.77.2"), Protocol::kUdp, 10256}));
  CHECK_FALSE(why_withheld(follower.state.guard(), service, {ip("10.96.0.1"), Protocol::kTcp, 443}));
  CHECK_FALSE(why_withheld(follower.state.guard(), service, {std::nullopt, Protocol::kTcp, 10256}));
}

TEST_CASE("a health check port of the node is neither opened nor let through") {
  Follower follower;
  follower.state.set_guarded(node());
  objects::Service service = thief();
  service.type = objects::Service::Type::kLoadBalancer;
  service.health_check_node_port = 22;
  follower.take(put(service));
  CHECK(view_of(follower, "attic/thief").health_check_node_port == 0);
  const auto checks = follower.state.take_health_checks();
  const auto& check = checks.at({"attic", "thief"});
  REQUIRE(check);
  CHECK(check->port == 22);
  CHECK(check->refusal);
}

TEST_CASE("ranges say which external and load balancer addresses there may be") {
  Follower follower;
  GuardedNode guarded = node();
  guarded.external_ranges = {rules::Prefix::parse("203.0.113.0/24").value()};
  guarded.load_balancer_ranges = {rules::Prefix::parse("198.51.100.0/24").value()};
  objects::Service service = thief();
  service.cluster_ips = {ip("10.96.6.6"), ip("fd00::6")};
  const Addresses both{ip("203.0.113.1"), ip("198.51.100.1"), ip("2001:db8::1")};
  service.external_ips = service.load_balancer_ips = both;
  follower.take(put(service));
  follower.state.set_guarded(guarded);
  follower.settle();
  CHECK(view_of(follower, "attic/thief").external_ips == Addresses{ip("203.0.113.1")});
  CHECK(view_of(follower, "attic/thief").load_balancer_ips == Addresses{ip("198.51.100.1")});
  CHECK(follower.views.at({Family::kIpv6, "attic/thief", Protocol::kTcp}).external_ips.empty());
  follower.state.set_guarded(node());
  follower.settle();
  CHECK(view_of(follower, "attic/thief").external_ips.size() == 2);
}

TEST_CASE("addresses that no Service and no pod can have") {
  const auto* const text =
      GENERATE("0.0.0.0", "127.0.0.1", "169.254.169.254", "224.0.0.1", "239.1.2.3", "255.255.255.255");
  Follower follower;
  objects::Service service = web();
  service.external_ips = service.load_balancer_ips = {ip(text)};
  follower.take(put(service));
  follower.take(put(slice("web-1", {text, "10.0.0.1"})));
  CHECK(view_of(follower, "demo/web:http").external_ips.empty());
  CHECK(view_of(follower, "demo/web:http").load_balancer_ips.empty());
  CHECK(follower.lines() == Lines{"IPv4 demo/web:http tcp -> 10.0.0.1:8080"});
  const auto remarks = follower.state.take_remarks();
  CHECK(std::ranges::any_of(remarks, [](const std::string& remark) {
    return remark.find("1 endpoints of port 80 are left out") != std::string::npos;
  }));
}

TEST_CASE("a million endpoints are bounded and those of this node stay") {
  Follower follower("node-1");
  objects::Service service = web();
  service.external_policy_local = true;
  service.ports[0].node_port = 30080;
  follower.take(put(service));
  for (int i = 0; i < 100; ++i) {
    objects::EndpointSlice one = slice("web-" + std::to_string(i), {});
    one.family = Family::kIpv4;
    for (int k = 0; k < 1000; ++k) {
      objects::SliceEndpoint endpoint;
      const int number = i * 1000 + k;
      endpoint.address = {Family::kIpv4,
                          {10, static_cast<std::uint8_t>(number >> 16), static_cast<std::uint8_t>(number >> 8),
                           static_cast<std::uint8_t>(number)}};
      endpoint.place = objects::on_node(number >= 99'990 ? "node-1" : "node-2");
      one.endpoints.push_back(std::move(endpoint));
    }
    follower.state.apply(put(one));
  }
  follower.settle();
  const auto& view = view_of(follower, "demo/web:http");
  CHECK(view.endpoints.size() == kMostEndpointsOfPort);
  CHECK(std::ranges::count_if(view.endpoints, [](const auto& one) { return one.for_local; }) == 10);
  REQUIRE(follower.state.left_out().all().size() == 1);
  CHECK(follower.state.left_out().all().at({"demo", "web"}).count == 100'000 - kMostEndpointsOfPort);
  CHECK(follower.state.take_remarks().size() <= 3);
}

TEST_CASE("ten thousand ports share the endpoints of a Service") {
  Follower follower;
  objects::Service service = web();
  objects::EndpointSlice one = slice("web-1", {});
  one.ports.clear();
  service.ports.clear();
  for (std::uint16_t i = 0; i < 10'000; ++i) {
    const std::string name = "p" + std::to_string(i);
    service.ports.push_back({name, Protocol::kTcp, static_cast<std::uint16_t>(i + 1), 0, ""});
    one.ports.push_back({name, static_cast<std::uint16_t>(i + 1), Protocol::kTcp});
  }
  service.external_ips = {ip("127.0.0.1")};
  for (std::uint8_t i = 0; i < 100; ++i) {
    objects::SliceEndpoint endpoint;
    endpoint.address = {Family::kIpv4, {10, 0, 0, i}};
    one.endpoints.push_back(std::move(endpoint));
  }
  follower.take(put(service));
  follower.take(put(one));
  CHECK(follower.views.size() == 10'000);
  CHECK(follower.state.known_endpoints(Family::kIpv4) <= kMostEndpointsOfService);
  CHECK(follower.state.left_out().all().at({"demo", "web"}).lines.size() == LeftOut::kMostLines);
}

TEST_CASE("many external addresses times many ports are bounded and source ranges are never dropped") {
  Follower follower;
  objects::Service service = web();
  const auto number = [](std::uint8_t first, int i) {
    return rules::Address{Family::kIpv4, {first, 0, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)}};
  };
  for (int i = 0; i < 20'000; ++i) service.external_ips.push_back(number(20, i));
  service.load_balancer_ips = {ip("203.0.113.1"), ip("203.0.113.2")};
  for (int i = 0; i < 60'000; ++i) service.source_ranges.push_back(rules::Prefix::host(number(30, i)));
  follower.take(put(service));
  CHECK(view_of(follower, "demo/web:http").external_ips.size() == kMostAddressesOfService);
  CHECK(view_of(follower, "demo/web:http").load_balancer_ips.size() == 2);
  CHECK(view_of(follower, "demo/web:http").source_ranges.size() == 60'000);
  for (std::uint16_t i = 1; i < 1'000; ++i)
    service.ports.push_back({"p" + std::to_string(i), Protocol::kTcp, static_cast<std::uint16_t>(i + 80), 0, ""});
  follower.take(put(service));
  CHECK(view_of(follower, "demo/web:http").external_ips.size() == kMostFrontendsOfService / 1'000);
  // Too many for one address: it is closed, not open.
  CHECK(view_of(follower, "demo/web:http").load_balancer_ips.empty());
}

TEST_CASE("a hostPort that the node has is left out until the node lets it go") {
  objects::Pod pod;
  pod.key = {"attic", "thief"};
  pod.node_name = "node-1";
  pod.addresses = {ip("10.244.1.9")};
  pod.phase = objects::Pod::Phase::kRunning;
  pod.ports = {{"a", Protocol::kTcp, 8080, 22, std::nullopt},
               {"b", Protocol::kTcp, 8080, 10250, std::nullopt},
               {"c", Protocol::kTcp, 8080, 80, std::nullopt},
               {"d", Protocol::kTcp, 8080, 22, ip("192.168.77.2")}};
  HostPortState state("node-1");
  FrontendGuard guard;
  REQUIRE(guard.set_node(node()));
  state.apply({objects::Kind::kPod, pod.key, std::make_shared<const objects::Object>(pod)});
  auto wanted = state.take_changes(guard);
  REQUIRE(wanted);
  REQUIRE(wanted->pods[0].size() == 1);
  // sshd listens on another address than the last one.
  CHECK(wanted->pods[0][0].mappings.size() == 2);
  CHECK(wanted->remarks.size() == 2);
  CHECK_FALSE(state.take_changes(guard));
  REQUIRE(guard.set_node({}));
  state.consider_again();
  wanted = state.take_changes(guard);
  REQUIRE(wanted);
  CHECK(wanted->pods[0][0].mappings.size() == 3);  // the first one's port is every address's
}

}  // namespace
}  // namespace kubenatd::agent::state
