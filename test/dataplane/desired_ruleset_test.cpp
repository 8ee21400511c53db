#include <fmt/format.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "netlink/walk/ruleset_reader.h"
#include "test/dataplane/sync_support.h"

// The tables that a walk takes for wanted are those that the kernel holds after a sync.
namespace kubenatd::agent::test {
namespace {

using Mode = config::Config::Mode;
using rules::walk::Statement;
using rules::walk::WalkChain;
using rules::walk::WalkSet;
using rules::walk::WalkTable;

std::vector<objects::ObjectEvent> objects() {
  objects::Service web = service("web", "10.96.0.1");
  web.ports[0].node_port = 30080;
  web.affinity_seconds = 60;
  objects::Service balanced = service("balanced", "10.96.0.4");
  balanced.ports[0].node_port = 30090;
  balanced.external_policy_local = true;
  balanced.load_balancer_ips = {ip("203.0.113.4")};
  balanced.source_ranges = {rules::Prefix::parse("192.0.2.0/24").value(),
                            rules::Prefix::parse("198.51.100.7/32").value()};
  return {put(web),
          put(slice("web", {"10.244.1.5", "10.244.2.7"})),
          put(balanced),
          put(slice("balanced", {"10.244.1.6", "10.244.1.7", "10.244.1.8", "10.244.1.9", "10.244.1.10"})),
          put(service("idle", "10.96.0.3")),
          put(service("six", "fd00:10:96::1")),
          put(slice("six", {"fd00:10:244:1::5"}))};
}

/// Of a rule, without counters and the like.
std::vector<const Statement*> parts_of(const rules::walk::WalkRule& rule) {
  std::vector<const Statement*> parts;
  for (const Statement& statement : rule.statements)
    if (!std::holds_alternative<rules::walk::NoEffect>(statement)) parts.push_back(&statement);
  return parts;
}

/// Whether both have the same statements; a kernel may give those of a rule in another order than they were written.
bool equal(const rules::walk::WalkRule& one, const rules::walk::WalkRule& other) {
  const auto mine = parts_of(one);
  auto theirs = parts_of(other);
  if (mine.size() != theirs.size()) return false;
  for (const Statement* part : mine) {
    const auto found = std::ranges::find_if(theirs, [&](const Statement* their) { return same(*part, *their); });
    if (found == theirs.end()) return false;
    theirs.erase(found);
  }
  return true;
}

bool is_judged(const rules::walk::WalkRule& rule) {
  return std::ranges::none_of(rule.statements, [](const Statement& statement) {
    return std::holds_alternative<rules::walk::Unjudged>(statement) ||
           std::holds_alternative<rules::walk::OtherTarget>(statement);
  });
}

void compare(const WalkChain& wanted, const WalkChain& live) {
  INFO(wanted.name);
  CHECK(wanted.base.has_value() == live.base.has_value());
  if (wanted.base && live.base) {
    CHECK(wanted.base->hook == live.base->hook);
    CHECK(wanted.base->type == live.base->type);
    CHECK(wanted.base->priority == live.base->priority);
    CHECK(wanted.base->policy_drop == live.base->policy_drop);
  }
  REQUIRE(wanted.rules.size() == live.rules.size());
  for (std::size_t i = 0; i < wanted.rules.size(); ++i) {
    INFO("wanted " << wanted.rules[i].text << "\nlive   " << live.rules[i].text);
    CHECK(equal(wanted.rules[i], live.rules[i]));
    CHECK(wanted.rules[i].comment == live.rules[i].comment);
    CHECK(is_judged(wanted.rules[i]));
  }
}

std::vector<rules::walk::SetElement> sorted(std::vector<rules::walk::SetElement> elements) {
  std::ranges::sort(elements, [](const auto& one, const auto& other) { return one.first < other.first; });
  return elements;
}

void compare(const WalkSet& wanted, const WalkSet& live) {
  INFO(wanted.name);
  CHECK(wanted.parts == live.parts);
  CHECK(wanted.is_map == live.is_map);
  CHECK(wanted.data_size == live.data_size);
  CHECK(wanted.interval == live.interval);
  CHECK(wanted.dynamic == live.dynamic);
  CHECK(wanted.type == live.type);
  CHECK(wanted.complete);
  const auto mine = sorted(wanted.elements);
  const auto theirs = sorted(live.elements);
  REQUIRE(mine.size() == theirs.size());
  for (std::size_t i = 0; i < mine.size(); ++i) {
    CHECK(mine[i].first == theirs[i].first);
    CHECK(mine[i].last == theirs[i].last);
    CHECK(mine[i].data == theirs[i].data);
    CHECK(mine[i].comment == theirs[i].comment);
  }
}

}  // namespace

TEST_CASE("the tables that are wanted for a walk are those that a sync writes", "[real]") {
  for (const Mode mode : {Mode::kIptables, Mode::kNftables}) {
    REAL_WORLD_ONLY("it reads the tables of all families");
    Agent agent(config_of(mode));
    agent.apply(objects());
    const auto live = netlink::walk::read_ruleset(std::make_shared<netlink::NfTables>(open_tables()));
    REQUIRE(live);
    netlink::NfTables tables = open_tables();
    for (const rules::Family family : rules::kFamilies) {
      const auto wanted = agent.model().dataplane(family).desired_ruleset(&tables);
      REQUIRE(wanted);
      CHECK(wanted->tables().size() == (mode == Mode::kIptables ? 2 : 1));
      for (const WalkTable& table : wanted->tables()) {
        INFO(name_of(table.family) << " " << table.name);
        const WalkTable* there = live->find(table.family, table.name);
        REQUIRE(there != nullptr);
        CHECK_FALSE(table.legacy);
        for (const auto& [name, chain] : table.chains) {
          // Only kubelet's own use makes it; a builtin chain without a rule of ours need not be there.
          const WalkChain* live_chain = there->chain(name);
          if (live_chain == nullptr && chain.rules.empty()) continue;
          INFO(name);
          REQUIRE(live_chain != nullptr);
          compare(chain, *live_chain);
        }
        CHECK(table.sets.size() == there->sets.size());
        for (const auto& [name, set] : table.sets) {
          INFO(name);
          REQUIRE(there->set(name) != nullptr);
          compare(set, *there->set(name));
        }
      }
    }
  }
}

TEST_CASE("of a large state, what is wanted on demand is what a sync writes", "[real]") {
  for (const Mode mode : {Mode::kIptables, Mode::kNftables}) {
    REAL_WORLD_ONLY("it reads the tables of all families");
    constexpr int kServices = 900;
    std::vector<objects::ObjectEvent> many;
    for (int i = 0; i < kServices; ++i) {
      const std::string name = fmt::format("web-{}", i);
      const int high = i / 250, low = i % 250 + 1;
      many.push_back(put(service(name, fmt::format("10.96.{}.{}", high, low))));
      many.push_back(
          put(slice(name, {fmt::format("10.244.{}.{}", high, low), fmt::format("10.245.{}.{}", high, low)})));
    }
    Agent agent(config_of(mode));
    agent.apply(many);
    const auto live =
        netlink::walk::read_ruleset(std::make_shared<netlink::NfTables>(open_tables()), rules::walk::kManyRules);
    REQUIRE(live);
    netlink::NfTables tables = open_tables();
    const rules::Family family = rules::Family::kIpv4;
    const auto& dataplane = agent.model().dataplane(family);
    const auto on_demand = dataplane.desired_ruleset(&tables);
    REQUIRE(on_demand);
    if (mode == Mode::kIptables) {
      const WalkTable* wanted = on_demand->find(rules::walk::TableFamily::kIp, "nat");
      const WalkTable* there = live->find(rules::walk::TableFamily::kIp, "nat");
      REQUIRE((wanted != nullptr && there != nullptr));
      REQUIRE((wanted->on_demand != nullptr && there->on_demand != nullptr));
      // From where hooks lead on, every chain that rules lead to.
      std::vector<std::string> open;
      std::set<std::string> seen;
      for (const auto& [name, chain] : wanted->chains) open.push_back(name);
      while (!open.empty()) {
        const std::string name = open.back();
        open.pop_back();
        if (!seen.insert(name).second) continue;
        const WalkChain* one = wanted->chain(name);
        const WalkChain* other = there->chain(name);
        if (other == nullptr && one != nullptr && one->rules.empty()) continue;
        REQUIRE((one != nullptr && other != nullptr));
        compare(*one, *other);
        for (const auto& rule : one->rules)
          for (const Statement& statement : rule.statements)
            if (const auto* to = std::get_if<rules::walk::ToVerdict>(&statement); to != nullptr && !to->chain.empty())
              open.push_back(to->chain);
      }
      CHECK(seen.size() > 3 * kServices);
      continue;
    }
    const auto whole = dataplane.desired_ruleset(nullptr);
    REQUIRE(whole);
    std::size_t asked = 0;
    for (const WalkTable& table : whole->tables()) {
      const WalkTable* there = live->find(table.family, table.name);
      const WalkTable* wanted = on_demand->find(table.family, table.name);
      REQUIRE((there != nullptr && wanted != nullptr));
      for (const auto& [name, set] : table.sets) {
        INFO(name);
        REQUIRE(wanted->set(name) != nullptr);
        CHECK(set.complete);
        if (set.dynamic) continue;
        CHECK(wanted->set(name)->complete == there->set(name)->complete);
        if (wanted->set(name)->complete) continue;
        CHECK(wanted->set(name)->elements.empty());
        for (const auto& element : set.elements) {
          const auto one = on_demand->look_up(*wanted, *wanted->set(name), element.first);
          const auto other = live->look_up(*there, *there->set(name), element.first);
          REQUIRE(one.answer == rules::walk::Found::Answer::kThere);
          REQUIRE(other.answer == rules::walk::Found::Answer::kThere);
          REQUIRE(one.element.first == other.element.first);
          REQUIRE(one.element.data == other.element.data);
          REQUIRE(one.element.comment == other.element.comment);
          ++asked;
        }
        auto unknown = set.elements.front().first;
        for (std::size_t i = 0; i < unknown.size; ++i) unknown.data[i] = 0xee;
        CHECK(on_demand->look_up(*wanted, *wanted->set(name), unknown).answer == rules::walk::Found::Answer::kAbsent);
      }
    }
    CHECK(asked >= 3 * kServices);
  }
}

}  // namespace kubenatd::agent::test
