#include "agent/state/service_state.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "test/support/random_cluster.h"
#include "test/unit/state/service_state_support.h"

namespace kubenatd::agent::state {
TEST_CASE("a Service and its slices become a view, whichever comes first") {
  const std::vector<objects::ObjectEvent> events{put(web()), put(slice("web-1", {"10.0.0.2"})),
                                                 put(slice("web-2", {"10.0.0.1"}))};
  std::vector<std::size_t> order{0, 1, 2};
  do {
    Follower follower;
    for (const std::size_t i : order) follower.take(events[i]);
    CHECK(follower.lines() == Lines{"IPv4 demo/web:http tcp -> 10.0.0.1:8080 10.0.0.2:8080"});
    CHECK(follower.state.known_endpoints(Family::kIpv4) == 2);
    CHECK(follower.state.services() == 1);
    CHECK(follower.state.endpoint_slices() == 2);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("the view carries what the Service says, of its own family") {
  objects::Service service = web();
  service.cluster_ips = {ip("fd00::1"), ip("10.96.0.1")};
  service.external_ips = {ip("192.0.2.1"), ip("2001:db8::1")};
  service.load_balancer_ips = {ip("2001:db8::2"), ip("192.0.2.2")};
  service.source_ranges = {rules::Prefix::parse("198.51.100.0/24").value()};
  service.internal_policy_local = true;
  service.external_policy_local = true;
  service.health_check_node_port = 30999;
  service.affinity_seconds = 60;
  service.ports = {{"", Protocol::kSctp, 7777, 30077, "x"}};
  Follower follower;
  follower.take(put(service));

  REQUIRE(follower.views.size() == 2);
  const auto& ipv4 = follower.views.at({Family::kIpv4, "demo/web", Protocol::kSctp});
  CHECK(ipv4.cluster_ip == ip("10.96.0.1"));
  CHECK(ipv4.port == 7777);
  CHECK(ipv4.node_port == 30077);
  CHECK(ipv4.external_ips == std::vector{ip("192.0.2.1")});
  CHECK(ipv4.load_balancer_ips == std::vector{ip("192.0.2.2")});
  CHECK(ipv4.source_ranges.size() == 1);
  CHECK((ipv4.internal_policy_local && ipv4.external_policy_local));
  CHECK(ipv4.health_check_node_port == 30999);
  CHECK(ipv4.affinity_seconds == 60);
  const auto& ipv6 = follower.views.at({Family::kIpv6, "demo/web", Protocol::kSctp});
  CHECK(ipv6.cluster_ip == ip("fd00::1"));
  CHECK(ipv6.external_ips == std::vector{ip("2001:db8::1")});
  CHECK(ipv6.load_balancer_ips == std::vector{ip("2001:db8::2")});
  CHECK(ipv6.source_ranges.empty());
}

TEST_CASE("endpoints go to the port of the same name and protocol, and family") {
  objects::Service service = web();
  service.cluster_ips = {ip("10.96.0.1"), ip("fd00::1")};
  service.ports = {{"http", Protocol::kTcp, 80, 0, ""}, {"dns", Protocol::kUdp, 53, 0, ""}};
  objects::EndpointSlice ipv4 = slice("web-1", {"10.0.0.1"});
  ipv4.ports = {{"dns", 5353, Protocol::kUdp}, {"http", 0, Protocol::kTcp}, {"http", 99, Protocol::kSctp}};
  Follower follower;
  follower.take(put(service));
  follower.take(put(ipv4));
  follower.take(put(slice("web-6", {"fd00::9"})));
  CHECK(follower.lines() == Lines{"IPv4 demo/web:dns udp -> 10.0.0.1:5353", "IPv4 demo/web:http tcp ->",
                                  "IPv6 demo/web:dns udp ->", "IPv6 demo/web:http tcp -> [fd00::9]:8080"});
}

TEST_CASE("a Service without a cluster IP has views where something else leads to it") {
  objects::Service service = web();
  service.cluster_ips.clear();
  service.ip_families = {Family::kIpv4};
  service.internal_policy_local = true;  // asks for nothing then
  Follower follower;
  follower.take(put(service));
  CHECK(follower.views.empty());

  service.ports[0].node_port = 30080;
  follower.take(put(service));
  follower.take(put(slice("web-1", {"10.0.0.1"})));
  REQUIRE(follower.lines() == Lines{"IPv4 demo/web:http tcp -> 10.0.0.1:8080"});
  const rules::ServicePortView& view = follower.views.begin()->second;
  CHECK_FALSE(has_cluster_ip(view));
  CHECK_FALSE(view.internal_policy_local);
  CHECK(view.endpoints[0].for_cluster);

  service.ip_families = {Family::kIpv4, Family::kIpv6};
  follower.take(put(service));
  CHECK(follower.views.size() == 2);
  follower.take(put(web()));
  CHECK(follower.lines() == Lines{"IPv4 demo/web:http tcp -> 10.0.0.1:8080"});
  CHECK(has_cluster_ip(follower.views.begin()->second));
}

TEST_CASE("what is not for this proxy has no view, and loses the one it had") {
  for (const int way : {0, 1, 2, 3}) {
    objects::Service service = web();
    if (way == 0) service.headless = true;
    if (way == 1) service.type = objects::Service::Type::kExternalName;
    if (way == 2) service.foreign_proxy = true;
    if (way == 3) service.cluster_ips.clear();
    Follower follower;
    follower.take(put(service));
    CHECK(follower.views.empty());

    follower.take(put(slice("web-1", {"10.0.0.1"})));
    CHECK(follower.state.known_endpoints(Family::kIpv4) == 0);
    follower.take(put(web()));
    CHECK(follower.lines() == Lines{"IPv4 demo/web:http tcp -> 10.0.0.1:8080"});
    follower.take(put(service));
    CHECK(follower.views.empty());
    CHECK(follower.state.known_endpoints(Family::kIpv4) == 0);
  }
}

TEST_CASE("a port that changes name or protocol leaves nothing behind") {
  Follower follower;
  follower.take(put(slice("web-1", {"10.0.0.1"})));
  objects::Service service = web();
  follower.take(put(service));
  service.ports[0].name = "www";
  follower.take(put(service));
  CHECK(follower.lines() == Lines{"IPv4 demo/web:www tcp ->"});
  service.ports[0] = {"http", Protocol::kUdp, 80, 0, ""};
  follower.take(put(service));
  CHECK(follower.lines() == Lines{"IPv4 demo/web:http udp ->"});
  service.ports = {{"", Protocol::kTcp, 80, 0, ""}};
  follower.take(put(service));
  CHECK(follower.lines() == Lines{"IPv4 demo/web tcp ->"});
}

TEST_CASE("of two ports with one name and protocol the first counts") {
  objects::Service service = web();
  service.ports.push_back({"http", Protocol::kTcp, 81, 0, ""});
  Follower follower;
  follower.take(put(service));
  REQUIRE(follower.views.size() == 1);
  CHECK(follower.views.begin()->second.port == 80);
}

TEST_CASE("a Service that loses a family loses those views") {
  objects::Service service = web();
  service.cluster_ips = {ip("10.96.0.1"), ip("fd00::1")};
  Follower follower;
  follower.take(put(service));
  CHECK(follower.views.size() == 2);
  follower.take(put(web()));
  CHECK(follower.lines() == Lines{"IPv4 demo/web:http tcp ->"});
}

TEST_CASE("a slice that names another Service takes its endpoints there") {
  objects::Service other = web();
  other.key.name = "api";
  other.cluster_ips = {ip("10.96.0.2")};
  Follower follower;
  follower.take(put(web()));
  follower.take(put(other));
  follower.take(put(slice("shared", {"10.0.0.1"})));
  objects::EndpointSlice moved = slice("shared", {"10.0.0.2"});
  moved.service = "api";
  follower.take(put(moved));
  CHECK(follower.lines() == Lines{"IPv4 demo/api:http tcp -> 10.0.0.2:8080", "IPv4 demo/web:http tcp ->"});
  SECTION("and to none") {
    moved.service.clear();
    follower.take(put(moved));
    CHECK(follower.lines() == Lines{"IPv4 demo/api:http tcp ->", "IPv4 demo/web:http tcp ->"});
    CHECK(follower.state.endpoint_slices() == 0);
  }
  SECTION("and away") {
    follower.take(remove(objects::Kind::kEndpointSlice, "shared"));
    CHECK(follower.lines() == Lines{"IPv4 demo/api:http tcp ->", "IPv4 demo/web:http tcp ->"});
  }
}

TEST_CASE("a slice serves the Service of its own namespace") {
  objects::EndpointSlice foreign = slice("web-1", {"10.0.0.1"});
  foreign.key.ns = "other";
  Follower follower;
  follower.take(put(web()));
  follower.take(put(foreign));
  CHECK(follower.lines() == Lines{"IPv4 demo/web:http tcp ->"});
}

TEST_CASE("the same address and port in several slices is one endpoint") {
  objects::EndpointSlice first = slice("web-1", {"10.0.0.1"});
  objects::EndpointSlice second = slice("web-2", {"10.0.0.1"});
  first.endpoints[0].ready = false;
  second.endpoints[0].place = objects::on_node("node-1");
  SECTION("the later one counts") {
    for (const bool swapped : {false, true}) {
      Follower follower;
      follower.take(put(web()));
      follower.take(put(swapped ? second : first));
      follower.take(put(swapped ? first : second));
      REQUIRE(follower.views.size() == 1);
      const auto& endpoints = follower.views.begin()->second.endpoints;
      REQUIRE(endpoints.size() == 1);
      CHECK((endpoints[0].is_ready && endpoints[0].is_local));
      CHECK(follower.state.known_endpoints(Family::kIpv4) == 1);
    }
  }
  SECTION("unless it is terminating") {
    second.endpoints[0].ready = false;
    second.endpoints[0].terminating = true;
    first.endpoints[0].ready = true;
    Follower follower;
    follower.take(put(web()));
    follower.take(put(first));
    follower.take(put(second));
    const auto& endpoints = follower.views.begin()->second.endpoints;
    REQUIRE(endpoints.size() == 1);
    CHECK((endpoints[0].is_ready && !endpoints[0].is_local));
  }
  SECTION("another port makes another endpoint") {
    second.ports[0].port = 8081;
    Follower follower;
    follower.take(put(web()));
    follower.take(put(first));
    follower.take(put(second));
    CHECK(follower.lines() == Lines{"IPv4 demo/web:http tcp -> 10.0.0.1:8080 10.0.0.1:8081"});
  }
}

TEST_CASE("an endpoint is local when it is on this node, by name") {
  objects::EndpointSlice endpoints = slice("web-1", {"10.0.0.1", "10.0.0.2", "10.0.0.3"});
  endpoints.endpoints[0].place = objects::on_node("node-1");
  endpoints.endpoints[2].place = {};
  Follower follower;
  follower.take(put(web()));
  follower.take(put(endpoints));
  const auto& chosen = follower.views.begin()->second.endpoints;
  REQUIRE(chosen.size() == 3);
  CHECK((chosen[0].is_local && !chosen[1].is_local && !chosen[2].is_local));
}

TEST_CASE("without a node name no endpoint is local, not even one that names none") {
  objects::EndpointSlice endpoints = slice("web-1", {"10.0.0.1"});
  endpoints.endpoints[0].place = {};
  Follower follower("");
  follower.take(put(web()));
  follower.take(put(endpoints));
  CHECK_FALSE(follower.views.begin()->second.endpoints.at(0).is_local);
}

TEST_CASE("this node's zone decides anew about every Service with hints") {
  objects::EndpointSlice endpoints = slice("web-1", {"10.0.0.1", "10.0.0.2"});
  endpoints.endpoints[0].place = objects::EndpointPlace{"node-2", {"zone-a"}, {}};
  endpoints.endpoints[1].place = objects::EndpointPlace{"node-2", {"zone-b"}, {}};
  Follower follower;
  follower.take(put(web()));
  follower.take(put(endpoints));
  const auto used = [&] {
    std::string used;
    for (const rules::Endpoint& endpoint : follower.views.begin()->second.endpoints)
      if (endpoint.for_cluster) used += endpoint.address.to_string() + " ";
    return used;
  };
  CHECK(used() == "10.0.0.1 10.0.0.2 ");
  follower.take(put_node("node-1", "zone-a"));
  CHECK(used() == "10.0.0.1 ");
  follower.take(put_node("node-1", "zone-b"));
  CHECK(used() == "10.0.0.2 ");
  follower.take(put_node("node-2", "zone-a"));
  CHECK(used() == "10.0.0.2 ");
  CHECK(follower.state.node()->zone == "zone-b");
  follower.take({objects::Kind::kNode, {"", "node-1"}, nullptr});
  CHECK(used() == "10.0.0.1 10.0.0.2 ");
  CHECK_FALSE(follower.state.node());

  SECTION("and a Node event that changes no zone concerns no Service") {
    follower.state.apply(put_node("node-1", ""));
    CHECK(follower.state.take_changes().empty());
  }
}

TEST_CASE("an event concerns its own Service only") {
  objects::Service other = web();
  other.key.name = "api";
  Follower follower;
  follower.take(put(web()));
  follower.take(put(other));
  follower.state.apply(put(slice("web-1", {"10.0.0.1"})));
  const auto changes = follower.state.take_changes();
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].name == "demo/web:http");
  CHECK(follower.state.take_changes().empty());
}

TEST_CASE("what was never there can be deleted") {
  Follower follower;
  follower.take(remove(objects::Kind::kService, "web"));
  follower.take(remove(objects::Kind::kEndpointSlice, "web-1"));
  follower.take({objects::Kind::kNode, {"", "node-1"}, nullptr});
  CHECK(follower.views.empty());
  CHECK(follower.state.services() == 0);
  CHECK(follower.state.endpoint_slices() == 0);
}

TEST_CASE("made and deleted between two looks is no change, deleted and made again is one") {
  Follower follower;
  follower.state.apply(put(web()));
  follower.state.apply(remove(objects::Kind::kService, "web"));
  CHECK(follower.state.take_changes().empty());
  CHECK(follower.state.services() == 0);

  follower.take(put(web()));
  objects::Service changed = web();
  changed.ports[0].port = 81;
  follower.state.apply(remove(objects::Kind::kService, "web"));
  follower.state.apply(put(changed));
  follower.settle();
  REQUIRE(follower.views.size() == 1);
  CHECK(follower.views.begin()->second.port == 81);
  CHECK(follower.state.services() == 1);
}

TEST_CASE("any history ends in the views of its outcome") {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    test::RandomCluster cluster(seed, 6);
    Follower follower;
    for (int change = 0; change < 150; ++change) {
      follower.state.apply(cluster.next());
      if (cluster.below(3) == 0) follower.settle();
    }
    follower.settle();

    std::vector<objects::ObjectEvent> outcome = cluster.all();
    std::shuffle(outcome.begin(), outcome.end(), std::mt19937(seed));
    Follower fresh;
    for (const objects::ObjectEvent& event : outcome) fresh.state.apply(event);
    fresh.settle();
    INFO("seed " << seed);
    CHECK(follower.lines() == fresh.lines());
    REQUIRE(follower.views == fresh.views);
    for (const Family family : rules::kFamilies)
      CHECK(follower.state.known_endpoints(family) == fresh.state.known_endpoints(family));
    CHECK(follower.state.services() == fresh.state.services());
  }
}

}  // namespace kubenatd::agent::state
