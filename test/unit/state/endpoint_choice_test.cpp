#include "agent/state/endpoint_choice.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace kubenatd::agent::state {
namespace {

using Names = std::vector<std::string>;

/// An endpoint and the hints that its candidate refers to.
struct Pod {
  std::string address;
  bool local = false;
  bool ready = true;
  bool serving = true;
  bool terminating = false;
  Names zones = {};
  Names nodes = {};

  [[nodiscard]] Pod here() const {
    Pod pod = *this;
    pod.local = true;
    return pod;
  }
  [[nodiscard]] Pod in_zone(const std::string& zone) const {
    Pod pod = *this;
    pod.zones.push_back(zone);
    return pod;
  }
  [[nodiscard]] Pod for_node(const std::string& node) const {
    Pod pod = *this;
    pod.nodes.push_back(node);
    return pod;
  }
};

Pod ready(const std::string& address) {
  return {.address = address};
}

Pod not_ready(const std::string& address) {
  return {.address = address, .ready = false, .serving = false};
}

/// Told to end, still answering.
Pod draining(const std::string& address) {
  return {.address = address, .ready = false, .serving = true, .terminating = true};
}

/// Told to end, not answering any more.
Pod ending(const std::string& address) {
  return {.address = address, .ready = false, .serving = false, .terminating = true};
}

/// Policies of the service port.
struct Port {
  bool internal_local = false;
  bool external_local = false;
  bool outside = false;  ///< has a NodePort
};

constexpr Port kCluster{};
constexpr Port kInternalLocal{.internal_local = true};
constexpr Port kExternalLocal{.external_local = true, .outside = true};
constexpr Port kBothLocal{.internal_local = true, .external_local = true, .outside = true};

struct Choice {
  Names cluster;
  Names local;
  Names reachable;
  bool has_endpoints = false;
  rules::ServicePortView view;
};

Choice choose(const Port& port, const std::vector<Pod>& pods, const Topology& here = {"node-1", "zone-a"}) {
  Choice choice;
  choice.view.internal_policy_local = port.internal_local;
  choice.view.external_policy_local = port.external_local;
  choice.view.node_port = port.outside ? 30080 : 0;
  std::vector<Candidate> candidates;
  for (const Pod& pod : pods)
    candidates.push_back({.address = rules::Address::parse(pod.address).value(),
                          .port = 80,
                          .is_local = pod.local,
                          .ready = pod.ready,
                          .serving = pod.serving,
                          .terminating = pod.terminating,
                          .zone_hints = &pod.zones,
                          .node_hints = &pod.nodes});
  choose_endpoints(choice.view, candidates, here);
  choice.has_endpoints = choice.view.has_endpoints;
  for (const rules::Endpoint& endpoint : choice.view.endpoints) {
    const std::string name = endpoint.address.to_string();
    if (endpoint.for_cluster) choice.cluster.push_back(name);
    if (endpoint.for_local) choice.local.push_back(name);
    if (endpoint.reachable) choice.reachable.push_back(name);
  }
  return choice;
}

const Names kNone;

}  // namespace

TEST_CASE("without endpoints nothing is chosen, whatever the policy") {
  for (const Port& port : {kCluster, kInternalLocal, kExternalLocal, kBothLocal}) {
    const Choice choice = choose(port, {});
    CHECK_FALSE(choice.has_endpoints);
    CHECK(choice.view.endpoints.empty());
  }
}

TEST_CASE("policy Cluster uses every ready endpoint, and only those") {
  const Choice choice =
      choose(kCluster, {ready("10.0.0.1").here(), ready("10.0.0.2"), not_ready("10.0.0.3"), draining("10.0.0.4")});
  CHECK(choice.cluster == Names{"10.0.0.1", "10.0.0.2"});
  CHECK(choice.local == kNone);
  CHECK(choice.reachable == choice.cluster);
  CHECK(choice.has_endpoints);
}

TEST_CASE("endpoints are sorted by their text, and all are in the view") {
  const Choice choice = choose(kCluster, {ready("10.0.0.2"), not_ready("10.0.0.9"), ready("10.0.0.10")});
  Names all;
  for (const rules::Endpoint& endpoint : choice.view.endpoints) all.push_back(endpoint.address.to_string());
  CHECK(all == Names{"10.0.0.10", "10.0.0.2", "10.0.0.9"});
  CHECK(choice.cluster == Names{"10.0.0.10", "10.0.0.2"});
}

TEST_CASE("a second choice into the same view replaces the first") {
  rules::ServicePortView view;
  const Names none;
  const Candidate first{.address = rules::Address::parse("10.0.0.1").value(),
                        .port = 80,
                        .ready = true,
                        .serving = true,
                        .zone_hints = &none,
                        .node_hints = &none};
  choose_endpoints(view, {first}, {});
  REQUIRE(view.has_endpoints);
  choose_endpoints(view, {}, {});
  CHECK_FALSE(view.has_endpoints);
  CHECK(view.endpoints.empty());
}

TEST_CASE("the conditions are kept as they were told") {
  const Choice choice = choose(kCluster, {ready("10.0.0.1").here(), draining("10.0.0.2"), ending("10.0.0.3")});
  const auto& endpoints = choice.view.endpoints;
  REQUIRE(endpoints.size() == 3);
  CHECK((endpoints[0].is_local && endpoints[0].is_ready && endpoints[0].is_serving));
  CHECK((!endpoints[1].is_local && !endpoints[1].is_ready && endpoints[1].is_serving));
  CHECK((!endpoints[2].is_ready && !endpoints[2].is_serving));
}

TEST_CASE("without a ready endpoint, policy Cluster falls back to those that drain") {
  const Choice choice =
      choose(kCluster, {draining("10.0.0.1"), ending("10.0.0.2"), not_ready("10.0.0.3"), draining("10.0.0.4").here()});
  CHECK(choice.cluster == Names{"10.0.0.1", "10.0.0.4"});
  CHECK(choice.has_endpoints);
  CHECK(choice.reachable == choice.cluster);
}

TEST_CASE("an endpoint that is not ready and not draining gets nothing") {
  for (const Port& port : {kCluster, kInternalLocal, kExternalLocal}) {
    const Choice choice = choose(port, {not_ready("10.0.0.1").here(), ending("10.0.0.2").here()});
    CHECK_FALSE(choice.has_endpoints);
    CHECK(choice.reachable == kNone);
    CHECK(choice.view.endpoints.size() == 2);
  }
}

TEST_CASE("an endpoint published although it is not ready counts as ready while it ends") {
  Pod published = draining("10.0.0.1").here();
  published.ready = true;
  CHECK(choose(kCluster, {published, draining("10.0.0.2")}).cluster == Names{"10.0.0.1"});
  CHECK(choose(kInternalLocal, {published, draining("10.0.0.2").here()}).local == Names{"10.0.0.1"});
}

TEST_CASE("internal policy Local uses the ready endpoints of this node") {
  const Choice choice = choose(kInternalLocal, {ready("10.0.0.1").here(), ready("10.0.0.2"),
                                                draining("10.0.0.3").here(), not_ready("10.0.0.4").here()});
  CHECK(choice.local == Names{"10.0.0.1"});
  CHECK(choice.cluster == kNone);
  CHECK(choice.reachable == Names{"10.0.0.1"});
  CHECK(choice.has_endpoints);
}

TEST_CASE("internal policy Local knows of endpoints elsewhere without using them") {
  for (const Pod& elsewhere : {ready("10.0.0.2"), draining("10.0.0.2")}) {
    const Choice choice = choose(kInternalLocal, {elsewhere});
    CHECK(choice.has_endpoints);
    CHECK(choice.local == kNone);
    CHECK(choice.reachable == kNone);
  }
  CHECK_FALSE(choose(kInternalLocal, {not_ready("10.0.0.2"), ending("10.0.0.3")}).has_endpoints);
}

TEST_CASE("policy Local falls back to this node's draining endpoints by itself") {
  SECTION("although others are ready elsewhere") {
    const Choice choice = choose(kInternalLocal, {draining("10.0.0.1").here(), ready("10.0.0.2")});
    CHECK(choice.local == Names{"10.0.0.1"});
    CHECK(choice.reachable == Names{"10.0.0.1"});
  }
  SECTION("and then both lists are reachable") {
    const Choice choice = choose(kExternalLocal, {draining("10.0.0.1").here(), ready("10.0.0.2")});
    CHECK(choice.cluster == Names{"10.0.0.2"});
    CHECK(choice.local == Names{"10.0.0.1"});
    CHECK(choice.reachable == Names{"10.0.0.1", "10.0.0.2"});
  }
  SECTION("while policy Cluster falls back only without any ready one") {
    const Choice choice = choose(kExternalLocal, {draining("10.0.0.1").here(), draining("10.0.0.2")});
    CHECK(choice.cluster == Names{"10.0.0.1", "10.0.0.2"});
    CHECK(choice.local == Names{"10.0.0.1"});
    CHECK(choice.reachable == Names{"10.0.0.1", "10.0.0.2"});
  }
  SECTION("but not to one elsewhere") {
    CHECK(choose(kInternalLocal, {draining("10.0.0.1"), not_ready("10.0.0.2").here()}).local == kNone);
  }
}

TEST_CASE("external policy Local needs both lists: of the node for outside, of the cluster for pods") {
  const Choice choice = choose(kExternalLocal, {ready("10.0.0.1").here(), ready("10.0.0.2")});
  CHECK(choice.cluster == Names{"10.0.0.1", "10.0.0.2"});
  CHECK(choice.local == Names{"10.0.0.1"});
  CHECK(choice.reachable == Names{"10.0.0.1", "10.0.0.2"});
}

TEST_CASE("external policy Local without a way in from outside means nothing") {
  const Choice choice = choose({.external_local = true}, {ready("10.0.0.1").here(), ready("10.0.0.2")});
  CHECK(choice.cluster == Names{"10.0.0.1", "10.0.0.2"});
  CHECK(choice.local == kNone);
}

TEST_CASE("each way in from outside makes the cluster's endpoints needed under internal policy Local") {
  const std::vector<Candidate> none;
  for (const int way : {0, 1, 2}) {
    rules::ServicePortView view;
    view.internal_policy_local = true;
    if (way == 0) view.node_port = 30080;
    if (way == 1) view.external_ips = {rules::Address::parse("192.0.2.1").value()};
    if (way == 2) view.load_balancer_ips = {rules::Address::parse("192.0.2.1").value()};
    const Names hints;
    const Candidate far{.address = rules::Address::parse("10.0.0.2").value(),
                        .port = 80,
                        .ready = true,
                        .serving = true,
                        .zone_hints = &hints,
                        .node_hints = &hints};
    choose_endpoints(view, {far}, {"node-1", ""});
    REQUIRE(view.endpoints.size() == 1);
    CHECK(view.endpoints[0].for_cluster);
    CHECK_FALSE(view.endpoints[0].for_local);
    CHECK(view.endpoints[0].reachable);
  }
}

TEST_CASE("zone hints keep traffic in this node's zone") {
  const std::vector<Pod> pods{ready("10.0.0.1").in_zone("zone-a"), ready("10.0.0.2").in_zone("zone-b"),
                              ready("10.0.0.3").in_zone("zone-b").in_zone("zone-a")};
  CHECK(choose(kCluster, pods).cluster == Names{"10.0.0.1", "10.0.0.3"});
  CHECK(choose(kCluster, pods, {"node-1", "zone-b"}).cluster == Names{"10.0.0.2", "10.0.0.3"});

  SECTION("not when no hint names it") {
    CHECK(choose(kCluster, pods, {"node-1", "zone-c"}).cluster.size() == 3);
  }
  SECTION("not when the node has no zone") {
    CHECK(choose(kCluster, pods, {"node-1", ""}).cluster.size() == 3);
  }
  SECTION("not when a ready endpoint has none") {
    std::vector<Pod> more = pods;
    more.push_back(ready("10.0.0.4"));
    CHECK(choose(kCluster, more).cluster.size() == 4);
  }
  SECTION("endpoints that are not ready need none") {
    std::vector<Pod> more = pods;
    more.push_back(not_ready("10.0.0.4"));
    more.push_back(draining("10.0.0.5"));
    CHECK(choose(kCluster, more).cluster == Names{"10.0.0.1", "10.0.0.3"});
  }
  SECTION("the hint of an endpoint that is not ready does not count as one for us") {
    const std::vector<Pod> far{ready("10.0.0.1").in_zone("zone-b"), not_ready("10.0.0.2").in_zone("zone-a")};
    CHECK(choose(kCluster, far).cluster == Names{"10.0.0.1"});
  }
}

TEST_CASE("node hints come before zone hints") {
  const std::vector<Pod> pods{ready("10.0.0.1").for_node("node-1").in_zone("zone-b"),
                              ready("10.0.0.2").for_node("node-2").in_zone("zone-a")};
  CHECK(choose(kCluster, pods).cluster == Names{"10.0.0.1"});
  SECTION("a node that no hint names goes by zone") {
    CHECK(choose(kCluster, pods, {"node-3", "zone-a"}).cluster == Names{"10.0.0.2"});
  }
  SECTION("a ready endpoint without a node hint: by zone") {
    std::vector<Pod> more = pods;
    more.push_back(ready("10.0.0.3").in_zone("zone-a"));
    CHECK(choose(kCluster, more).cluster == Names{"10.0.0.2", "10.0.0.3"});
  }
  SECTION("neither: everything") {
    CHECK(choose(kCluster, pods, {"node-3", "zone-c"}).cluster == Names{"10.0.0.1", "10.0.0.2"});
  }
}

TEST_CASE("hints say nothing about the fallback to draining endpoints") {
  const Choice choice = choose(kCluster, {draining("10.0.0.1").in_zone("zone-b"), draining("10.0.0.2")});
  CHECK(choice.cluster == Names{"10.0.0.1", "10.0.0.2"});
}

TEST_CASE("hints say nothing about policy Local, and both lists are then reachable") {
  const std::vector<Pod> pods{ready("10.0.0.1").here().in_zone("zone-b"), ready("10.0.0.2").in_zone("zone-a"),
                              ready("10.0.0.3").in_zone("zone-b")};
  const Choice both = choose(kExternalLocal, pods);
  CHECK(both.cluster == Names{"10.0.0.2"});
  CHECK(both.local == Names{"10.0.0.1"});
  CHECK(both.reachable == Names{"10.0.0.1", "10.0.0.2"});

  const Choice local = choose(kInternalLocal, pods);
  CHECK(local.local == Names{"10.0.0.1"});
  CHECK(local.reachable == Names{"10.0.0.1"});
}

TEST_CASE("both policies Local with a NodePort: the node's list for services, all for pods and the node itself") {
  const Choice choice = choose(kBothLocal, {ready("10.0.0.1").here(), ready("10.0.0.2"), draining("10.0.0.3")});
  CHECK(choice.cluster == Names{"10.0.0.1", "10.0.0.2"});
  CHECK(choice.local == Names{"10.0.0.1"});
  CHECK(choice.reachable == Names{"10.0.0.1", "10.0.0.2"});
}

}  // namespace kubenatd::agent::state
