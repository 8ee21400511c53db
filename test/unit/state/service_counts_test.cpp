#include <algorithm>

#include "test/unit/state/service_state_support.h"

/// What ServiceState counts beside the views: endpoints, health checks, Local policies without an endpoint here.
namespace kubenatd::agent::state {

TEST_CASE("endpoints are counted for each service port that has them") {
  objects::Service service = web();
  service.ports = {{"http", Protocol::kTcp, 80, 0, ""}, {"alt", Protocol::kTcp, 81, 0, ""}};
  objects::EndpointSlice endpoints = slice("web-1", {"10.0.0.1", "10.0.0.2"});
  endpoints.ports.push_back({"alt", 8081, Protocol::kTcp});
  endpoints.ports.push_back({"metrics", 9090, Protocol::kTcp});  // of no port of the Service
  endpoints.endpoints[1].ready = false;
  Follower follower;
  follower.take(put(endpoints));
  CHECK(follower.state.known_endpoints(Family::kIpv4) == 0);
  follower.take(put(service));
  CHECK(follower.state.known_endpoints(Family::kIpv4) == 4);
  CHECK(follower.state.known_endpoints(Family::kIpv6) == 0);
  follower.take(put(slice("web-2", {"10.0.0.2", "10.0.0.3"})));
  CHECK(follower.state.known_endpoints(Family::kIpv4) == 5);
  follower.take(remove(objects::Kind::kEndpointSlice, "web-1"));
  CHECK(follower.state.known_endpoints(Family::kIpv4) == 2);
  follower.take(remove(objects::Kind::kService, "web"));
  CHECK(follower.state.known_endpoints(Family::kIpv4) == 0);
}

TEST_CASE("health checks are told when they change, and only those that do") {
  using Changes = HealthCheckChanges;
  const auto key = [](int i) { return objects::ObjectKey{"demo", "web-" + std::to_string(i)}; };
  const auto service = [&](int i) {
    objects::Service service = web();
    service.key = key(i);
    service.external_policy_local = true;
    service.health_check_node_port = static_cast<std::uint16_t>(30000 + i);
    return service;
  };
  const auto here = [&](int i, const std::string& name, const std::vector<std::string>& addresses) {
    objects::EndpointSlice endpoints = slice(name, addresses);
    endpoints.service = key(i).name;
    for (objects::SliceEndpoint& endpoint : endpoints.endpoints) endpoint.place = objects::on_node("node-1");
    return endpoints;
  };
  Follower follower;
  for (int i = 0; i < 1000; ++i) {
    follower.take(put(service(i)));
    follower.take(put(here(i, "slice-" + std::to_string(i), {"10.0.0.1"})));
  }
  const Changes all = follower.state.take_health_checks();
  CHECK(all.size() == 1000);
  CHECK(all.at(key(7)) == HealthCheck{30007, 1});
  CHECK(follower.state.take_health_checks().empty());

  // An address in two slices is one endpoint; what is elsewhere or not ready does not count.
  follower.take(put(here(7, "slice-7b", {"10.0.0.1", "10.0.0.2"})));
  CHECK(follower.state.take_health_checks() == Changes{{key(7), HealthCheck{30007, 2}}});
  objects::EndpointSlice elsewhere = here(7, "slice-7b", {"10.0.0.3", "10.0.0.2"});
  elsewhere.endpoints[0].place = objects::on_node("node-2");
  follower.take(put(elsewhere));
  CHECK(follower.state.take_health_checks().empty());
  elsewhere.endpoints[1].ready = false;
  follower.take(put(elsewhere));
  CHECK(follower.state.take_health_checks() == Changes{{key(7), HealthCheck{30007, 1}}});

  objects::Service other_port = service(8);
  other_port.health_check_node_port = 31000;
  follower.take(put(other_port));
  follower.take(remove(objects::Kind::kService, "web-9"));
  objects::Service without = service(10);
  without.health_check_node_port = 0;
  follower.take(put(without));
  objects::Service foreign = service(11);
  foreign.foreign_proxy = true;
  follower.take(put(foreign));
  // The last word counts when several things happen before it is asked for.
  follower.take(remove(objects::Kind::kService, "web-12"));
  follower.take(put(service(12)));
  CHECK(follower.state.take_health_checks() == Changes{{key(8), HealthCheck{31000, 1}},
                                                       {key(9), std::nullopt},
                                                       {key(10), std::nullopt},
                                                       {key(11), std::nullopt},
                                                       {key(12), HealthCheck{30012, 1}}});
  CHECK(follower.state.take_health_checks().empty());
}

TEST_CASE("service ports of a Local policy without an endpoint here are counted, by policy") {
  const auto none = [](const Follower& follower) { return follower.state.no_local_endpoints(Family::kIpv4); };
  using None = ServiceState::NoLocalEndpoints;
  objects::Service service = web();
  service.internal_policy_local = true;
  Follower follower;
  follower.take(put(service));
  CHECK(none(follower) == None{0, 0});  // without any endpoint it is refused, not dropped
  follower.take(put(slice("web-1", {"10.0.0.1"})));
  CHECK(none(follower) == None{1, 0});
  service.external_policy_local = true;
  service.ports[0].node_port = 30080;
  follower.take(put(service));
  CHECK(none(follower) == None{1, 1});
  CHECK(follower.state.no_local_endpoints(Family::kIpv6) == None{});
  service.internal_policy_local = false;
  follower.take(put(service));
  CHECK(none(follower) == None{0, 1});
  objects::EndpointSlice here = slice("web-2", {"10.0.0.2"});
  here.endpoints[0].place = objects::on_node("node-1");
  follower.take(put(here));
  CHECK(none(follower) == None{0, 0});
  follower.take(remove(objects::Kind::kEndpointSlice, "web-2"));
  CHECK(none(follower) == None{0, 1});
  follower.take(remove(objects::Kind::kService, "web"));
  CHECK(none(follower) == None{0, 0});
}

}  // namespace kubenatd::agent::state
