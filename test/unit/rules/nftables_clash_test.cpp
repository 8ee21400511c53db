#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "nftables_model.h"

/// Several service ports that claim one frontend.
namespace kubenatd::rules::nftables {
namespace {

Address ip(const std::string& text) {
  return Address::parse(text).value();
}

/// Service ports that take their addresses and ports from small pools, so that nearly all clash.
class RandomPorts {
 public:
  explicit RandomPorts(unsigned seed) : random_(seed) {}

  unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }

  ServicePortView view() {
    ServicePortView made;
    made.name = "demo/s" + std::to_string(below(6));
    made.protocol = below(3) == 0 ? Protocol::kUdp : Protocol::kTcp;
    if (below(8) != 0) made.cluster_ip = address();
    made.port = static_cast<std::uint16_t>(80 + below(2));
    if (below(2) == 0) made.node_port = static_cast<std::uint16_t>(30080 + below(2));
    for (unsigned i = below(3); i > 0; --i) made.external_ips.push_back(address());
    for (unsigned i = below(3); i > 0; --i) made.load_balancer_ips.push_back(address());
    made.external_policy_local = below(3) == 0;
    made.internal_policy_local = has_cluster_ip(made) && below(4) == 0;
    if (below(3) == 0)
      made.source_ranges.push_back(Prefix::of(ip("192.0.2.0"), static_cast<std::uint8_t>(24 + below(3))));
    if (below(3) == 0) made.affinity_seconds = 60 + below(2);
    endpoints(made);
    return made;
  }

  void endpoints(ServicePortView& view) {
    view.endpoints.clear();
    for (unsigned i = below(3) == 0 ? 0 : below(8); i > 0; --i) {
      Endpoint endpoint;
      endpoint.address = ip("10.244.1." + std::to_string(below(12)));
      endpoint.port = 8080;
      endpoint.is_local = below(2) == 0;
      endpoint.for_cluster = below(4) != 0;
      endpoint.for_local = endpoint.is_local && below(4) != 0;
      const bool known =
          std::ranges::any_of(view.endpoints, [&](const Endpoint& other) { return other.address == endpoint.address; });
      if (!known) view.endpoints.push_back(endpoint);
    }
    const Reach reach = reach_of(view);
    view.has_endpoints = reach.cluster || reach.local || below(6) == 0;  // the last: on other nodes alone
  }

 private:
  Address address() { return ip("203.0.113." + std::to_string(below(4))); }
  std::mt19937 random_;
};

/// What the test knows of the service ports.
struct Known {
  ServicePortView view;
  bool refused = false;
};
using KnownPorts = std::map<ServicePortKey, Known>;

bool has_frontend(const ServicePortView& view, const Frontend& frontend) {
  const std::vector<Frontend> all = frontends_of(view);
  return std::ranges::find(all, frontend) != all.end();
}

/// By the words of the rule: the first by name with usable endpoints, else with endpoints elsewhere, else the first.
const ServicePortView* owner_of(const KnownPorts& ports, const Frontend& frontend) {
  const ServicePortView* best = nullptr;
  int best_rank = 0;
  for (const auto& [key, known] : ports) {
    const ServicePortView& view = known.view;
    if (known.refused || !has_frontend(view, frontend)) continue;
    const bool cluster_ip = frontend.address == view.cluster_ip;
    const bool local = cluster_ip ? view.internal_policy_local : view.external_policy_local;
    const bool usable = view.has_endpoints && std::ranges::any_of(view.endpoints, [&](const Endpoint& one) {
                          return local ? one.for_local : one.for_cluster;
                        });
    const int rank = usable ? 0 : view.has_endpoints ? 1 : 2;
    if (best != nullptr && rank >= best_rank) continue;
    best = &view;
    best_rank = rank;
  }
  return best;
}

/// The sets of frontends: they are always the same.
const std::map<SetRef, SetSpec>& sets_of_frontends() {
  static const auto kSets = [] {
    std::map<SetRef, SetSpec> sets;
    for (const SetSpec& set : compile_ruleset({}, {.timeouts = {}, .sizes = kAllSizes}).sets)
      if (set.key.size() > 1 && !set.dynamic && set.ref.id != SetId::kHairpin) sets[set.ref] = set;
    return sets;
  }();
  return kSets;
}

/// Elements by frontend (its key); endpoints without their numbers, which follow from what was before.
using Elements = std::map<std::string, std::multiset<std::string>>;
Elements elements_of(const DesiredElements& desired) {
  Elements found;
  desired.for_each_element(
      [](const SetRef& set) { return sets_of_frontends().contains(set); },
      [&](const ElementKey& element, const ElementValue& value) {
        const SetSpec& set = sets_of_frontends().at(element.set);
        const bool endpoint = set.key.back() == FieldType::kClassId;
        std::string text = name_of(element.set) + "/";
        if (!endpoint) text += element.key.view();
        text += std::to_string(element.range) + "/" + std::string(value.data.view());
        if (!endpoint && value.comment) text += *value.comment;
        found[std::string(element.key.view().substr(0, set.key.front() == FieldType::kProtocol ? 8 : 12))].insert(text);
      });
  return found;
}

std::multiset<std::string> elements_of(const Elements& all, const Frontend& frontend) {
  Bytes<kKeyCapacity> key;
  if (frontend.address) key.address(*frontend.address);
  key.protocol(frontend.protocol).port(frontend.port);
  const auto found = all.find(std::string(key.view()));
  return found == all.end() ? std::multiset<std::string>() : found->second;
}

/// Service ports that change, and a table that follows what changed of its elements.
struct Scene {
  DesiredElements desired{{}};
  TableModel kernel;
  Ruleset written;
  KnownPorts known;

  Scene() {
    kernel = TableModel::made_of(desired);
    written = desired.ruleset();
    desired.committed();
  }
  void put(const ServicePortView& view) {
    known[key_of(view)] = {view, false};
    desired.upsert(view);
  }
  void follow() {
    const Ruleset wanted = desired.ruleset();
    CHECK(kernel.take(changes(wanted, written, desired), desired).empty());
    written = wanted;
    desired.committed();
  }
};

ServicePortView external(const std::string& name, std::vector<int> endpoints) {
  ServicePortView view;
  view.name = "demo/" + name;
  view.cluster_ip = ip(name == "blue" ? "10.96.13.1" : "10.96.13.2");
  view.port = 80;
  view.external_ips = {ip("203.0.113.60")};
  view.has_endpoints = !endpoints.empty();
  for (const int one : endpoints) {
    Endpoint& endpoint = view.endpoints.emplace_back();
    endpoint.address = ip("10.244.1." + std::to_string(one));
    endpoint.port = 8080;
    endpoint.is_ready = endpoint.is_serving = endpoint.for_cluster = endpoint.reachable = true;
  }
  return view;
}

const Frontend kShared{ip("203.0.113.60"), Protocol::kTcp, 80};

bool is_served_by(const DesiredElements& desired, const ServicePortView& view) {
  DesiredElements alone{desired.options()};
  alone.upsert(view);
  return elements_of(elements_of(desired), kShared) == elements_of(elements_of(alone), kShared);
}

}  // namespace

TEST_CASE("field F13: the frontend goes to the one with endpoints and back in one step each") {
  Scene scene;
  const ServicePortView idle_blue = external("blue", {}), blue = external("blue", {1, 2, 3});
  const ServicePortView idle_green = external("green", {}), green = external("green", {4, 5});
  scene.put(idle_blue);
  scene.put(green);
  scene.follow();
  CHECK(is_served_by(scene.desired, green));
  scene.put(blue);
  scene.follow();
  CHECK(is_served_by(scene.desired, blue));
  scene.put(idle_green);
  CHECK(is_served_by(scene.desired, blue));
  scene.put(green);
  scene.put(idle_blue);
  scene.follow();
  CHECK(is_served_by(scene.desired, green));
  scene.put(idle_green);
  scene.follow();
  CHECK(is_served_by(scene.desired, idle_blue));
  scene.put(blue);
  scene.put(green);
  scene.desired.refuse(key_of(blue));
  scene.follow();
  CHECK(is_served_by(scene.desired, green));
  scene.desired.readmit(key_of(blue));
  CHECK(is_served_by(scene.desired, blue));
  scene.desired.erase(key_of(blue));
  scene.follow();
  CHECK(is_served_by(scene.desired, green));
  scene.desired.erase(key_of(green));
  scene.follow();
  CHECK(elements_of(scene.desired).empty());
}

TEST_CASE("the endpoints of one who does not have the frontend cost nothing there") {
  Scene scene;
  scene.put(external("blue", {1, 2, 3}));
  scene.put(external("green", {4, 5}));
  scene.follow();
  scene.put(external("green", {4, 6}));
  CHECK(scene.desired.changes().size() == 1);  // of its cluster IP
  scene.follow();
  scene.put(external("blue", {1, 2, 3, 4}));
  CHECK(scene.desired.changes().size() == 2);  // of both addresses
}

TEST_CASE("random clashes: every frontend is of one service port and what changed is what differs") {
  for (unsigned seed = 1; seed <= 15; ++seed) {
    RandomPorts random(seed);
    Scene scene;
    for (int step = 0; step < 40; ++step) {
      INFO("seed " << seed << " step " << step);
      for (unsigned i = random.below(3); i < 3; ++i) {
        ServicePortView view = random.view();
        const auto present = scene.known.find(key_of(view));
        switch (random.below(8)) {
          case 0:
            scene.known.erase(key_of(view));
            scene.desired.erase(key_of(view));
            break;
          case 1:
            if (present != scene.known.end()) present->second.refused = true;
            scene.desired.refuse(key_of(view));
            break;
          case 2:
            if (present != scene.known.end()) present->second.refused = false;
            scene.desired.readmit(key_of(view));
            break;
          case 3:
          case 4:
          case 5:
            if (present == scene.known.end()) break;
            view = present->second.view;
            random.endpoints(view);
            [[fallthrough]];
          default: scene.put(view);
        }
      }
      scene.follow();
      REQUIRE(scene.kernel == TableModel::made_of(scene.desired));

      std::set<Frontend> frontends;
      for (const auto& [key, known] : scene.known)
        for (const Frontend& frontend : frontends_of(known.view)) frontends.insert(frontend);
      const Elements all = elements_of(scene.desired);
      for (const Frontend& frontend : frontends) {
        INFO(to_text(frontend));
        DesiredElements alone{{}};
        if (const ServicePortView* owner = owner_of(scene.known, frontend)) alone.upsert(*owner);
        REQUIRE(elements_of(all, frontend) == elements_of(elements_of(alone), frontend));
      }

      // A restart that finds the table changes nothing.
      DesiredElements fresh{{}};
      for (auto known = scene.known.rbegin(); known != scene.known.rend(); ++known)
        if (!known->second.refused) fresh.upsert(known->second.view);
      const LiveTable live = scene.kernel.look(fresh.ruleset());
      fresh.adopt_order(order_of(live.elements));
      REQUIRE(compare(fresh.ruleset(), nullptr, fresh, live).empty());
    }
  }
}

}  // namespace kubenatd::rules::nftables
