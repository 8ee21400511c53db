#include <catch2/catch.hpp>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "nftables_model.h"
#include "rules/nftables/host_ports.h"

namespace kubenatd::rules::nftables {
namespace {

using Strings = std::set<std::string, std::less<>>;

ServicePortView service(int number, const std::vector<int>& endpoints, std::optional<std::uint32_t> affinity = {}) {
  ServicePortView view;
  view.name = "demo/s" + std::to_string(number);
  view.cluster_ip = Address::parse("10.96.0." + std::to_string(number)).value();
  view.port = 80;
  view.affinity_seconds = affinity;
  view.has_endpoints = !endpoints.empty();
  for (const int one : endpoints) {
    Endpoint endpoint;
    endpoint.address = Address::parse("10.244.0." + std::to_string(one)).value();
    endpoint.port = 8080;
    endpoint.is_ready = endpoint.is_serving = endpoint.for_cluster = endpoint.reachable = true;
    view.endpoints.push_back(endpoint);
  }
  return view;
}

ServicePortKey key(int number) {
  return {"demo/s" + std::to_string(number), Protocol::kTcp};
}

NftRule rule_of_others() {
  return {.statements = {GoTo{"theirs", true}}, .comment = "others"};
}

/// A table that is as it is wanted, and what was written to make it so.
struct Scene {
  DesiredElements desired{{}};
  TableModel kernel;
  Ruleset written;

  Scene() {
    desired.upsert(service(1, {1, 2, 3}));
    desired.upsert(service(2, {1}, 60));
    desired.adopt_order(order_of({}));
    settle();
  }
  void settle() {
    kernel = TableModel::made_of(desired);
    written = desired.ruleset();
    desired.committed();
  }
  [[nodiscard]] Plan look() const {
    return compare(desired.ruleset(), &written, desired, kernel.look(desired.ruleset()));
  }
  [[nodiscard]] bool is_right() const { return kernel == TableModel::made_of(desired); }
};

Held only(const std::string& set, const std::string& chain) {
  return {.set = [=](std::string_view name) { return name == set; },
          .chain = [=](std::string_view name) { return name == chain; },
          .flowtable = [](std::string_view /*name*/) { return false; }};
}

}  // namespace

TEST_CASE("a table that is not there is made, and is no drift before the first commit") {
  DesiredElements desired{{}};
  desired.upsert(service(1, {1, 2}, 60));
  const Plan plan = compare(desired.ruleset(), nullptr, desired, {});
  CHECK(plan.everything);
  CHECK_FALSE(plan.delete_table);
  CHECK_FALSE(plan.table_drifted);
  TableModel kernel;
  CHECK(kernel.take(plan, desired).empty());
  CHECK(kernel.sets.contains("affinity-60s"));
  CHECK_FALSE(kernel.elements.empty());
  CHECK(compare(desired.ruleset(), nullptr, desired, kernel.look(desired.ruleset())).empty());
  const Ruleset written = desired.ruleset();
  CHECK(compare(written, &written, desired, {}).table_drifted);
}

TEST_CASE("a table of another layout is made anew") {
  Scene scene;
  SECTION("a set of another type") {
    scene.kernel.sets.at("endpoints").key.pop_back();
  }
  SECTION("a chain at another hook") {
    scene.kernel.chains.at("nat-output").priority = 7;
  }
  const Plan plan = scene.look();
  CHECK(plan.delete_table);
  CHECK(plan.table_drifted);
  CHECK(scene.kernel.take(plan, scene.desired).empty());
  CHECK(scene.is_right());
}

TEST_CASE("what differs in one set is written, and nothing else") {
  Scene scene;
  const auto first = scene.kernel.elements.begin();
  const std::string set = name_of(first->first.set);
  SECTION("an element is gone") {
    scene.kernel.elements.erase(first);
  }
  SECTION("an element has another comment") {
    first->second.comment = std::make_shared<const std::string>("somebody else");
  }
  SECTION("an element too many") {
    ElementKey other = first->first;
    other.key.data[0] ^= 0xff;
    scene.kernel.elements.emplace(other, first->second);
  }
  const Plan plan = scene.look();
  CHECK(plan.drifted == Names{.sets = {set}, .chains = {}});
  CHECK(scene.kernel.take(plan, scene.desired).empty());
  CHECK(scene.kernel.steps <= 2);
  CHECK(scene.is_right());
}

TEST_CASE("chains and sets of others go, whatever leads to them") {
  Scene scene;
  scene.kernel.chains["theirs"] = {.name = "theirs", .hook = Hook::kNone, .nat = false, .priority = 0, .rules = {}};
  scene.kernel.chains["theirs-too"] = scene.kernel.chains["theirs"];
  SetSpec odd;
  odd.name = "affinity-7s";
  odd.ref = {SetId::kTimeout, 7};
  scene.kernel.sets[odd.name] = odd;
  scene.kernel.chains["theirs-too"].rules = {rule_of_others(), {{InSet{{}, odd.ref}}, ""}};
  scene.kernel.chains["services"].rules.push_back(rule_of_others());
  const Plan plan = scene.look();
  CHECK(plan.drifted == Names{.sets = {"affinity-7s"}, .chains = {"services", "theirs", "theirs-too"}});
  CHECK(scene.kernel.take(plan, scene.desired).empty());
  CHECK(scene.is_right());
}

TEST_CASE("own changes are no drift, with a timeout or a range to draw from that comes or goes, too") {
  Scene scene;
  const auto check = [&](bool looked) {
    const Ruleset wanted = scene.desired.ruleset();
    const Plan plan = looked ? scene.look() : changes(wanted, scene.written, scene.desired);
    CHECK_FALSE(plan.table_drifted);
    CHECK(plan.drifted.empty());
    CHECK_FALSE(plan.everything);
    CHECK(scene.kernel.take(plan, scene.desired).empty());
    CHECK(scene.is_right());
    scene.written = wanted;
    scene.desired.committed();
  };
  const bool looked = GENERATE(false, true);
  scene.desired.upsert(service(3, {4, 5}, 90));
  check(looked);
  scene.desired.erase(key(2));
  check(looked);
  scene.desired.upsert(service(1, {3, 9}));
  check(looked);
  std::vector<int> many(20);
  std::iota(many.begin(), many.end(), 1);
  scene.desired.upsert(service(1, many));
  check(looked);
  CHECK(scene.kernel.chains.contains("endpoints-udp-64"));
  many.resize(7);
  scene.desired.upsert(service(1, many));
  check(looked);
  CHECK(scene.kernel.chains.contains("endpoints-16"));
  CHECK(scene.kernel.sets.contains("larger-4"));
  CHECK_FALSE(scene.kernel.chains.contains("endpoints-64"));
  CHECK_FALSE(scene.kernel.sets.contains("larger-16"));
  scene.desired.refuse(key(1));
  check(looked);
  CHECK_FALSE(scene.kernel.chains.contains("endpoints-16"));
  CHECK_FALSE(scene.kernel.sets.contains("larger-4"));
}

TEST_CASE("a flowtable comes and goes with what uses it, and is put right") {
  Scene scene;
  scene.desired.set_options({.node = {}, .service_cidrs = {}, .count_connections = false, .fast_path = FastPath::kTcp});
  Plan on = changes(scene.desired.ruleset(), scene.written, scene.desired);
  CHECK(on.new_flowtables.size() == 1);
  CHECK(scene.kernel.take(on, scene.desired).empty());
  CHECK(scene.kernel.flowtables.contains(kFlowtable));
  CHECK(scene.is_right());
  scene.settle();
  CHECK(scene.look().empty());

  SECTION("switched off") {
    scene.desired.set_options({});
    CHECK(scene.kernel.take(changes(scene.desired.ruleset(), scene.written, scene.desired), scene.desired).empty());
    CHECK(scene.kernel.flowtables.empty());
    CHECK(scene.is_right());
  }
  SECTION("switched off while nobody looked") {
    scene.desired.set_options({});
    const Plan plan =
        compare(scene.desired.ruleset(), nullptr, scene.desired, scene.kernel.look(scene.desired.ruleset()));
    CHECK(scene.kernel.take(plan, scene.desired).empty());
    CHECK(scene.is_right());
  }
  SECTION("taken away by others, with the rules that use it") {
    scene.kernel.chains.find("fast-path")->second.rules.clear();
    scene.kernel.flowtables.clear();
    Plan plan = scene.look();
    CHECK(plan.drifted == Names{.sets = {}, .chains = {"fast-path"}, .flowtables = {kFlowtable}});
    // Held, it comes all the same when a chain that is written needs it.
    Held all = only("", "");
    all.flowtable = [](std::string_view /*name*/) { return true; };
    CHECK(hold_back(plan, scene.desired, all).empty());
    all.chain = [](std::string_view name) { return name == "fast-path"; };
    Plan held = scene.look();
    CHECK(hold_back(held, scene.desired, all) ==
          Names{.sets = {}, .chains = {"fast-path"}, .flowtables = {kFlowtable}});
    CHECK(held.empty());
    CHECK(scene.kernel.take(plan, scene.desired).empty());
    CHECK(scene.is_right());
  }
  SECTION("another one of others goes") {
    scene.kernel.flowtables["more"] = {"more", 0};
    const Plan plan = scene.look();
    CHECK(plan.drifted == Names{.sets = {}, .chains = {}, .flowtables = {"more"}});
    CHECK(scene.kernel.take(plan, scene.desired).empty());
    CHECK(scene.is_right());
  }
  SECTION("at another place it is made anew with its table") {
    scene.kernel.flowtables[kFlowtable].priority = 10;
    const Plan plan = scene.look();
    CHECK(plan.delete_table);
    CHECK(scene.kernel.take(plan, scene.desired).empty());
    CHECK(scene.is_right());
  }
}

TEST_CASE("what changed alone is written when nothing is suspected") {
  Scene scene;
  scene.desired.upsert(service(1, {1, 2, 3, 4}));
  const Plan plan = changes(scene.written, scene.written, scene.desired);
  CHECK(plan.added.size() == 1);
  CHECK(plan.removed.empty());
  CHECK(scene.kernel.take(plan, scene.desired).empty());
  CHECK(scene.kernel.steps == 1);
}

TEST_CASE("own changes in a set that was not read are written beside drift in another one") {
  Scene scene;
  scene.desired.upsert(service(1, {1, 2, 3, 4}));
  std::erase_if(scene.kernel.elements, [](const auto& element) { return element.first.set.id == SetId::kClusterIps; });
  const std::set<SetRef> read{{SetId::kClusterIps, 0}};
  const Ruleset wanted = scene.desired.ruleset();
  const Plan plan = compare(wanted, &scene.written, scene.desired, scene.kernel.look(wanted, &read));
  CHECK(plan.drifted == Names{.sets = {"cluster-ips"}, .chains = {}});
  CHECK(scene.kernel.take(plan, scene.desired).empty());
  CHECK(scene.is_right());
}

TEST_CASE("a chain that others fight over waits, and everything else is put right") {
  Scene scene;
  scene.kernel.chains["theirs"] = {.name = "theirs", .hook = Hook::kNone, .nat = false, .priority = 0, .rules = {}};
  scene.kernel.chains["services"].rules.push_back(rule_of_others());
  scene.kernel.chains["leaving"].rules.clear();
  scene.kernel.elements.erase(scene.kernel.elements.begin());
  scene.desired.upsert(service(1, {1, 9}));
  Plan plan = scene.look();
  const Names taken = hold_back(plan, scene.desired, only("", "services"));
  // Their chain is still in use.
  CHECK(taken == Names{.sets = {}, .chains = {"services", "theirs"}});
  CHECK(scene.kernel.take(plan, scene.desired).empty());
  CHECK_FALSE(scene.is_right());
  scene.desired.committed();
  plan = scene.look();
  CHECK(plan.rewritten.size() == 1);
  CHECK(plan.added.empty());
  CHECK(scene.kernel.take(plan, scene.desired).empty());
  CHECK(scene.is_right());
}

TEST_CASE("a set that others fight over waits, but not for its own changes") {
  Scene scene;
  const auto in_endpoints = [](const auto& element) { return element.first.set.id == SetId::kEndpoints; };
  const auto gone = std::ranges::find_if(scene.kernel.elements, in_endpoints);
  const ElementKey lost = gone->first;
  scene.kernel.elements.erase(gone);
  scene.kernel.chains["leaving"].rules.clear();
  scene.desired.upsert(service(3, {7}));
  Plan plan = scene.look();
  CHECK(hold_back(plan, scene.desired, only("endpoints", "")) == Names{.sets = {"endpoints"}, .chains = {}});
  CHECK(scene.kernel.take(plan, scene.desired).empty());
  CHECK_FALSE(scene.kernel.elements.contains(lost));
  scene.kernel.elements.emplace(lost, TableModel::made_of(scene.desired).elements.at(lost));
  CHECK(scene.is_right());
}

TEST_CASE("what a chain needs that is written does not wait") {
  Scene scene;
  for (auto& [name, chain] : scene.kernel.chains) chain.rules.clear();
  scene.kernel.chains.erase("hostports");
  std::erase_if(scene.kernel.elements, [](const auto& element) { return element.first.set.id == SetId::kHostPorts; });
  scene.kernel.sets.erase("hostports");
  Plan plan = scene.look();
  (void)hold_back(plan, scene.desired, only("hostports", "hostports"));
  CHECK(scene.kernel.take(plan, scene.desired).empty());
  CHECK(scene.is_right());
}

TEST_CASE("who only looks sees endpoints in the order of the kernel, and changes nothing") {
  Scene scene;
  const TableModel before = TableModel::made_of(scene.desired);
  DesiredElements other{{}};
  other.upsert(service(1, {3, 1, 2}));
  other.upsert(service(2, {1}, 60));
  const TableModel live = TableModel::made_of(other);
  const LiveElements elements = live.look(scene.written).elements;
  std::map<ElementKey, ElementValue> seen;
  scene.desired.for_each_element([](const SetRef&) { return true; },
                                 [&](const ElementKey& one, const ElementValue& value) { seen.emplace(one, value); },
                                 {.order = order_of(elements), .host_ports = nullptr});
  CHECK(seen == live.elements);
  CHECK(TableModel::made_of(scene.desired) == before);
  CHECK_FALSE(scene.desired.has_changes());
  scene.desired.adopt_order(order_of(elements));
  CHECK(TableModel::made_of(scene.desired) == live);
}

TEST_CASE("who only looks sees other host ports, and changes nothing") {
  Scene scene;
  const auto pod = [](int number, std::uint16_t port) {
    hostport::PodPorts ports;
    ports.id = "demo/pod" + std::to_string(number);
    ports.address = Address::parse("10.244.9." + std::to_string(number)).value();
    ports.mappings = {{.protocol = Protocol::kTcp, .host_port = port, .container_port = 80, .host_ip = {}}};
    return ports;
  };
  scene.desired.set_host_ports({pod(1, 8001), pod(2, 8002)});
  const auto count = [&](const std::vector<hostport::PodPorts>& pods) {
    const HostPortElements as_if = emit_host_ports(pods);
    std::map<ElementKey, ElementValue> seen;
    scene.desired.for_each_element(
        [](const SetRef&) { return true; },
        [&](const ElementKey& one, const ElementValue& value) { CHECK(seen.emplace(one, value).second); },
        {.order = {}, .host_ports = &as_if});
    DesiredElements other{{}};
    other.upsert(service(1, {1, 2, 3}));
    other.upsert(service(2, {1}, 60));
    other.set_host_ports(pods);
    CHECK(seen == TableModel::made_of(other).elements);
  };
  count({});
  count({pod(2, 8002)});
  count({pod(2, 8003), pod(3, 8001)});
}

TEST_CASE("a service port that the kernel refused is out until it is tried again") {
  Scene scene;
  const TableModel whole = TableModel::made_of(scene.desired);
  const auto views = [&] {
    std::size_t count = 0;
    scene.desired.for_each_view([&](const ServicePortView&) { ++count; });
    return count;
  };
  scene.desired.refuse(key(2));
  CHECK(views() == 1);
  CHECK(scene.kernel.take(changes(scene.desired.ruleset(), scene.written, scene.desired), scene.desired).empty());
  CHECK(scene.is_right());
  CHECK_FALSE(scene.kernel == whole);
  scene.written = scene.desired.ruleset();
  scene.desired.committed();
  scene.desired.readmit(key(2));
  CHECK(views() == 2);
  CHECK(scene.kernel.take(changes(scene.desired.ruleset(), scene.written, scene.desired), scene.desired).empty());
  CHECK(scene.kernel == whole);
  SECTION("refused once more before the commit, it leaves nothing behind") {
    scene.desired.refuse(key(2));
    CHECK(scene.desired.changes().empty());
  }
}

TEST_CASE("any changes, own and of others, end in the table that is wanted") {
  Scene scene;
  std::mt19937 random(7);
  const auto draw = [&](int most) { return static_cast<int>(random() % static_cast<unsigned>(most)); };
  for (int round = 0; round < 300; ++round) {
    for (int i = draw(3); i >= 0; --i) {
      const int number = 1 + draw(6);
      std::vector<int> endpoints;
      for (int n = draw(draw(4) == 0 ? 70 : 6); n > 0; --n) endpoints.push_back(n + draw(3));
      switch (draw(4)) {
        case 0: scene.desired.erase(key(number)); break;
        case 1: scene.desired.refuse(key(number)); break;
        case 2: scene.desired.readmit(key(number)); break;
        default:
          scene.desired.upsert(
              service(number, endpoints, draw(3) == 0 ? std::optional(60U + 30U * draw(2)) : std::nullopt));
      }
    }
    const bool others = draw(2) == 0;
    if (others && !scene.kernel.elements.empty()) {
      scene.kernel.elements.erase(
          std::next(scene.kernel.elements.begin(), draw(static_cast<int>(scene.kernel.elements.size()))));
      std::next(scene.kernel.chains.begin(), draw(static_cast<int>(scene.kernel.chains.size())))->second.rules.clear();
    }
    const Ruleset wanted = scene.desired.ruleset();
    const Plan plan = others || draw(3) == 0 ? scene.look() : changes(wanted, scene.written, scene.desired);
    REQUIRE(scene.kernel.take(plan, scene.desired) == std::vector<std::string>{});
    REQUIRE(scene.is_right());
    scene.written = wanted;
    scene.desired.committed();
  }
}

}  // namespace kubenatd::rules::nftables
