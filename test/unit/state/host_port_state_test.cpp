#include "agent/state/host_port_state.h"

#include <catch2/catch.hpp>

namespace kubenatd::agent::state {
namespace {

using rules::Protocol;
using rules::hostport::Mapping;

rules::Address ip(const std::string& text) {
  return rules::Address::parse(text).value();
}

objects::Pod pod(const std::string& name, std::uint16_t host_port = 8080, std::int64_t created = 0) {
  objects::Pod pod;
  pod.key = {"demo", name};
  pod.node_name = "node-1";
  pod.phase = objects::Pod::Phase::kRunning;
  pod.created = created;
  pod.addresses = {ip("10.244.1.5"), ip("fd00::5")};
  pod.ports = {{"", Protocol::kTcp, 80, host_port, {}}};
  return pod;
}

class Node {
 public:
  void put(const objects::Pod& pod) {
    state_.apply({objects::Kind::kPod, pod.key, std::make_shared<const objects::Object>(pod)});
  }
  void remove(const std::string& name) { state_.apply({objects::Kind::kPod, {"demo", name}, nullptr}); }
  /// Ids of the pods in IPv4, after taking the changes there must be.
  std::vector<std::string> ids() {
    wanted = state_.take_changes().value();
    std::vector<std::string> ids;
    for (const auto& one : wanted.pods[0]) ids.push_back(one.id);
    return ids;
  }
  [[nodiscard]] bool changed() { return state_.take_changes().has_value(); }
  HostPortState::Wanted wanted;

 private:
  HostPortState state_{"node-1"};
};

using Ids = std::vector<std::string>;

TEST_CASE("pods of this node with host ports count while they may run") {
  Node node;
  objects::Pod web = pod("web");
  const auto counts = [&] {
    node.put(web);
    return node.changed();
  };
  SECTION("running, pending, unknown and terminating ones") {
    web.phase = GENERATE(objects::Pod::Phase::kRunning, objects::Pod::Phase::kPending, objects::Pod::Phase::kUnknown);
    web.terminating = GENERATE(true, false);
    CHECK(counts());
  }
  SECTION("not one that has ended") {
    web.phase = GENERATE(objects::Pod::Phase::kSucceeded, objects::Pod::Phase::kFailed);
    CHECK_FALSE(counts());
  }
  SECTION("not one elsewhere, or nowhere yet") {
    web.node_name = GENERATE("node-2", "");
    CHECK_FALSE(counts());
  }
  SECTION("not one in the host's network") {
    web.host_network = true;
    CHECK_FALSE(counts());
  }
  SECTION("not one without a host port") {
    web.ports[0].host_port = 0;
    CHECK_FALSE(counts());
  }
  SECTION("not one without an address: its port is wanted, and no more") {
    web.addresses.clear();
    node.put(web);
    CHECK(node.ids().empty());
    CHECK(node.wanted.pods[1].empty());
  }
}

TEST_CASE("a pod goes with its object or its end") {
  Node node;
  node.put(pod("web"));
  CHECK(node.ids() == Ids{"demo/web"});
  SECTION("deleted") {
    node.remove("web");
  }
  SECTION("succeeded") {
    objects::Pod ended = pod("web");
    ended.phase = objects::Pod::Phase::kSucceeded;
    node.put(ended);
  }
  CHECK(node.ids().empty());
  node.remove("web");
  CHECK_FALSE(node.changed());
}

TEST_CASE("what is not about ports changes nothing") {
  Node node;
  objects::Pod web = pod("web");
  node.put(web);
  CHECK(node.changed());
  web.ready = true;
  web.terminating = true;
  node.put(web);
  CHECK_FALSE(node.changed());
  web.addresses = {ip("10.244.1.6")};
  node.put(web);
  REQUIRE(node.ids() == Ids{"demo/web"});
  CHECK(node.wanted.pods[0][0].address == ip("10.244.1.6"));
  CHECK(node.wanted.pods[1].empty());
}

TEST_CASE("both families, and a hostIP in its own") {
  Node node;
  objects::Pod web = pod("web");
  web.ports = {{"", Protocol::kTcp, 80, 80, ip("192.0.2.1")},
               {"", Protocol::kUdp, 53, 53, ip("::")},
               {"", Protocol::kSctp, 7, 7, ip("0.0.0.0")},
               {"", Protocol::kTcp, 81, 81, {}},
               {"", Protocol::kTcp, 82, 0, {}}};
  node.put(web);
  REQUIRE(node.ids().size() == 1);
  CHECK(node.wanted.pods[0][0].mappings == std::vector<Mapping>{{Protocol::kTcp, 80, 80, ip("192.0.2.1")},
                                                                {Protocol::kSctp, 7, 7, {}},
                                                                {Protocol::kTcp, 81, 81, {}}});
  CHECK(node.wanted.pods[1][0].mappings ==
        std::vector<Mapping>{{Protocol::kUdp, 53, 53, {}}, {Protocol::kTcp, 81, 81, {}}});
}

TEST_CASE("the older of two pods keeps a port, and the other is named") {
  Node node;
  node.put(pod("young", 8080, 200));
  CHECK(node.ids() == Ids{"demo/young"});
  node.put(pod("old", 8080, 100));
  CHECK(node.ids() == Ids{"demo/old"});
  CHECK(
      node.wanted.remarks ==
      std::vector<std::string>{"Pod demo/young: hostPort 8080/tcp is left out: Pod demo/old, which is older, has it"});
  node.put(pod("other", 9090, 300));
  CHECK(node.ids() == Ids{"demo/old", "demo/other"});
  CHECK(node.wanted.remarks.empty());  // it was said
  node.remove("old");
  CHECK(node.ids() == Ids{"demo/young", "demo/other"});
}

TEST_CASE("without times the pod that was there first keeps its port") {
  Node node;
  node.put(pod("b"));
  node.put(pod("a"));
  CHECK(node.ids() == Ids{"demo/b"});
  node.put(pod("b", 8081));
  CHECK(node.ids() == Ids{"demo/b", "demo/a"});
}

TEST_CASE("addresses decide what a conflict is") {
  Node node;
  objects::Pod first = pod("first", 80, 1);
  first.ports[0].host_ip = ip("192.0.2.1");
  node.put(first);
  objects::Pod second = pod("second", 80, 2);
  SECTION("another address is another port") {
    second.ports[0].host_ip = ip("192.0.2.2");
    node.put(second);
    CHECK(node.ids() == Ids{"demo/first", "demo/second"});
  }
  SECTION("every address is that address too, in its family") {
    node.put(second);
    CHECK(node.ids() == Ids{"demo/first"});
    CHECK(node.wanted.pods[1].size() == 1);
  }
  SECTION("another protocol is another port") {
    second.ports[0].protocol = Protocol::kUdp;
    node.put(second);
    CHECK(node.ids() == Ids{"demo/first", "demo/second"});
  }
}

TEST_CASE("two containers of a pod cannot have one port") {
  Node node;
  objects::Pod web = pod("web");
  web.ports.push_back({"", Protocol::kTcp, 81, 8080, {}});
  node.put(web);
  REQUIRE(node.ids() == Ids{"demo/web"});
  CHECK(node.wanted.pods[0][0].mappings.size() == 1);
  CHECK(node.wanted.remarks ==
        std::vector<std::string>{"Pod demo/web: hostPort 8080/tcp is left out: it has that port already"});
}

TEST_CASE("what is known of host ports for judging the entries of others") {
  Node node;
  objects::Pod web = pod("web", 8080, 1);
  node.put(web);
  CHECK(node.ids() == Ids{"demo/web"});
  const Mapping mapping{Protocol::kTcp, 8080, 80, {}};
  CHECK(node.wanted.known[0].holders == std::vector<rules::hostport::KnownPods::Holder>{{mapping, ip("10.244.1.5")}});
  CHECK(node.wanted.known[1].holders == std::vector<rules::hostport::KnownPods::Holder>{{mapping, ip("fd00::5")}});
  CHECK(node.wanted.known[0].unsettled.empty());

  // A pod that cannot have the port has an entry of its own all the same, and so has one that is being set up.
  objects::Pod late = pod("late", 8080, 2);
  late.addresses.clear();
  node.put(late);
  CHECK(node.ids() == Ids{"demo/web"});
  CHECK(node.wanted.remarks.empty());
  CHECK(node.wanted.known[0].unsettled == std::vector{mapping});
  CHECK(node.wanted.known[1].unsettled == std::vector{mapping});
  late.addresses = {ip("10.244.1.6")};
  node.put(late);
  CHECK(node.ids() == Ids{"demo/web"});
  CHECK(node.wanted.remarks.size() == 1);
  CHECK(node.wanted.known[0].unsettled.empty());
  CHECK(node.wanted.known[0].holders.size() == 2);
  CHECK(node.wanted.known[1].holders.size() == 1);
  late.phase = objects::Pod::Phase::kSucceeded;
  node.put(late);
  CHECK(node.ids() == Ids{"demo/web"});
  CHECK(node.wanted.known[0].holders.size() == 1);
}

}  // namespace
}  // namespace kubenatd::agent::state
