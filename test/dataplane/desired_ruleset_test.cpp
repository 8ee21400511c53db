#include <memory>

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

}  // namespace kubenatd::agent::test
