#include "rules/iptables/diff.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "rules/hostport/compiler.h"
#include "rules/hostport/names.h"
#include "rules/iptables/desired_chains.h"
#include "test/unit/rules/plan_tables.h"
#include "test/unit/rules/service_port_builder.h"

namespace kubenatd::rules::iptables {
namespace {

using test::PlanTables;

const ChainId kNatServices{Table::kNat, ChainName("KUBE-SERVICES")};

ServicePortView port(unsigned number, unsigned endpoints = 1) {
  ServicePortView view;
  view.name = "demo/s" + std::to_string(number);
  view.cluster_ip = Address{Family::kIpv4,
                            {10, 96, static_cast<std::uint8_t>(number / 250), static_cast<std::uint8_t>(number % 250)}};
  view.port = 80;
  for (unsigned i = 0; i < endpoints; ++i)
    view.endpoints.push_back(test::endpoint("10.244.1." + std::to_string(i + 1), 8080));
  view.has_endpoints = endpoints != 0;
  return view;
}

hostport::PodPorts pod(std::uint16_t host_port = 8080) {
  return {.id = "demo/web",
          .address = *Address::parse("10.244.1.5"),
          .mappings = {{Protocol::kTcp, host_port, 80, std::nullopt}}};
}

/// The desired side, the tables, and what is written from one to the other.
struct Bench {
  explicit Bench(CompileOptions options = test::options()) : desired{DesiredTables(std::move(options)), {}} {}

  std::vector<Step> steps(Diff::Gate gate = {}, const std::set<ChainId>& again = {}) {
    Plan plan(Family::kIpv4);
    Diff diff(desired.service_ports.options(), live, undeletable, plan);
    desired.take_changes(diff);
    diff.set_gate(std::move(gate));
    desired.replay(again, diff);
    diff.jumps();
    if (!desired.host_ports.empty()) diff.host_port_jumps();
    diff.set_gate({});
    for (auto needed = diff.take_needed(); !needed.empty(); needed = diff.take_needed()) desired.replay(needed, diff);
    diff.finish();
    empty = diff.empty();
    after = diff.after();
    added = diff.rules_added(Table::kNat);
    CHECK(empty == plan.all().empty());
    return plan.all();
  }
  /// Carries it out, too.
  std::vector<Step> write(Diff::Gate gate = {}, const std::set<ChainId>& again = {}) {
    auto all = steps(std::move(gate), again);
    echoed = live.carry_out(all);
    return all;
  }
  [[nodiscard]] std::set<ChainId> wanted() const {
    std::set<ChainId> all;
    desired.for_each_wanted([&](const WantedChain& one) { all.insert(one.id); });
    return all;
  }
  /// The rules of every chain that is wanted are there.
  void check_equal() {
    struct Check final : ChainSink {
      explicit Check(Bench& bench) : bench(bench) {}
      void chain(const ChainRules& chain, const Digest&) override { same(chain.id, chain.rules); }
      void shared(const SharedChain& chain) override {
        if (chain.only_if_there) return;
        std::vector<Rule> rules;
        for (const Slot& slot : chain.slots)
          rules.push_back(rule_of(chain, slot, bench.desired.service_ports.options()));
        same(chain.id, rules);
      }
      void gone(const ChainId&) override {}
      void same(const ChainId& id, const std::vector<Rule>& rules) {
        INFO(name_of(id.table) << " " << id.name.view());
        REQUIRE(bench.live.rules(id.table, std::string(id.name.view())) == rules);
        seen.insert({id.table, std::string(id.name.view())});
      }
      Bench& bench;
      std::set<PlanTables::Key> seen;
    } check(*this);
    desired.service_ports.replay_all(check);
    replay_host_ports(desired.host_ports, check);
    for (const auto& [key, rules] : live.chains)
      if (is_own_chain(key.first, key.second)) CHECK(check.seen.contains(key));
  }

  DesiredChains desired;
  PlanTables live;
  std::set<ChainId> undeletable;
  AfterPlan after;
  std::vector<std::uint64_t> echoed;
  std::size_t added = 0;
  bool empty = false;
};

std::size_t count(const std::vector<Step>& steps, Operation operation) {
  return static_cast<std::size_t>(std::ranges::count(steps, operation, &Step::operation));
}

ChainId service_chain(Bench& bench, unsigned number, std::string_view prefix = "KUBE-SVC-") {
  for (const ChainId& id : bench.wanted())
    if (id.name.view().starts_with(prefix) &&
        bench.desired.service_ports.owner_of(id) == ServicePortKey{port(number).name, Protocol::kTcp})
      return id;
  FAIL("no such chain");
  return {};
}

}  // namespace

TEST_CASE("empty tables get everything, each chain before those that jump to it, and nothing the second time") {
  const auto form = GENERATE(DispatchForm::kLinear, DispatchForm::kTree);
  CompileOptions options = test::options();
  options.form = form;
  Bench bench(options);
  for (unsigned i = 0; i < 300; ++i) bench.desired.service_ports.upsert(port(i, i % 3));
  bench.desired.host_ports.set_pods({pod()});
  // PlanTables refuses a jump to a chain that is not there.
  const auto steps = bench.write();
  bench.check_equal();
  CHECK(bench.live.has_base(Table::kNat, "PREROUTING"));
  CHECK(count(steps, Operation::kDeleteRule) == 0);
  // Whatever a packet can see comes after all that it leads to.
  const auto visible = std::ranges::find_if(steps, [](const Step& step) {
    return step.operation == Operation::kAddRule && step.object.name == "PREROUTING";
  });
  CHECK(std::none_of(visible, steps.end(), [](const Step& step) { return step.operation == Operation::kCreateChain; }));

  CHECK(bench.steps({}, bench.wanted()).empty());
  CHECK(bench.empty);
}

TEST_CASE("a shared chain is changed rule by rule: what stays keeps its handle, what is new stands before it") {
  Bench bench;
  for (const unsigned i : {1U, 3U, 5U}) bench.desired.service_ports.upsert(port(i));
  (void)bench.write();
  const auto before = bench.live.rules_in(kNatServices);
  REQUIRE(before.size() == 4);  // and the NodePort tail

  bench.desired.service_ports.erase({"demo/s3", Protocol::kTcp});
  bench.desired.service_ports.upsert(port(4));
  const auto steps = bench.write();
  bench.check_equal();
  const auto after = bench.live.rules_in(kNatServices);
  CHECK(after[0] == before[0]);
  CHECK(after[2] == before[2]);
  CHECK(after[3] == before[3]);
  std::vector<std::string> of_services;
  for (const Step& step : steps)
    if (step.object.name == "KUBE-SERVICES") of_services.push_back(to_text(step).substr(0, 50));
  REQUIRE(of_services.size() == 2);
  CHECK(of_services[0] == "delete rule ip nat KUBE-SERVICES handle " + std::to_string(before[1].handle));
  CHECK(of_services[1].starts_with("add rule ip nat KUBE-SERVICES before " + std::to_string(before[2].handle)));

  // The plan knows all handles but the new one, which is the one that the kernel reports.
  const auto content = std::ranges::find(bench.after.contents, kNatServices, &AfterPlan::Content::id);
  REQUIRE(content != bench.after.contents.end());
  CHECK_FALSE(content->unknown_handles);
  CHECK(content->rules[1].handle == 0);
  CHECK(bench.echoed == std::vector{after[1].handle});
}

TEST_CASE("past 256 new rules of one chain none is reported") {
  const unsigned more = GENERATE(256U, 257U);
  Bench bench;
  bench.desired.service_ports.upsert(port(0));
  (void)bench.write();
  for (unsigned i = 1; i <= more; ++i) bench.desired.service_ports.upsert(port(i));
  const auto steps = bench.write();
  bench.check_equal();
  CHECK(bench.echoed.size() == (more == 256 ? more : 0));
  const auto content = std::ranges::find(bench.after.contents, kNatServices, &AfterPlan::Content::id);
  REQUIRE(content != bench.after.contents.end());
  CHECK(content->unknown_handles == (more > 256));
}

TEST_CASE("a service's own chain is emptied and written again, and that does not come first") {
  Bench bench;
  bench.desired.service_ports.upsert(port(1, 200));
  (void)bench.write();

  SECTION("an endpoint less") {
    bench.desired.service_ports.upsert(port(1, 199));
    const auto steps = bench.write();
    bench.check_equal();
    REQUIRE(steps.size() > 3);
    CHECK(to_text(steps[0]) == "create table ip nat");
    CHECK(to_text(steps[1]) == "flush ip nat " + std::string(service_chain(bench, 1).name.view()));
    CHECK(count(steps, Operation::kDeleteChain) == 1);
    // The last two are of the endpoint's chain.
    CHECK(steps[steps.size() - 2].operation == Operation::kDeleteRule);
    CHECK(steps.back().operation == Operation::kDeleteChain);
    CHECK(steps.back().object == steps[steps.size() - 2].object);
  }
  SECTION("an endpoint more: its chain is first as it is") {
    bench.desired.service_ports.upsert(port(1, 201));
    const auto steps = bench.write();
    bench.check_equal();
    CHECK(steps[0].operation == Operation::kCreateChain);
    CHECK(count(steps, Operation::kCreateTable) == 0);
  }
  SECTION("only removed chains are left to be done") {
    // Somebody took the rule that leads to a chain away, and the service with it.
    const ChainId chain = service_chain(bench, 1);
    bench.desired.service_ports.erase({"demo/s1", Protocol::kTcp});
    for (auto& [key, rules] : bench.live.chains)
      if (key.second == "KUBE-SERVICES")
        std::erase_if(rules, [&](const auto& one) { return jump_target(one.rule) == chain.name.view(); });
    const auto steps = bench.write();
    bench.check_equal();
    CHECK(to_text(steps[0]) == "create table ip nat");
    CHECK(std::ranges::all_of(steps.begin() + 1, steps.begin() + 202,
                              [](const Step& step) { return step.operation == Operation::kDeleteRule; }));
    CHECK(count(steps, Operation::kDeleteChain) == 201);
  }
  SECTION("a chain that is there and empty needs no flush") {
    const ChainId chain = service_chain(bench, 1);
    bench.live.chains[{Table::kNat, std::string(chain.name.view())}].clear();
    const auto steps = bench.write({}, {chain});
    bench.check_equal();
    CHECK(count(steps, Operation::kDeleteRule) == 0);
  }
}

TEST_CASE("a host port's large chain does not come first either") {
  Bench bench;
  auto wanted = pod();
  for (std::uint16_t i = 0; i < 2000; ++i)
    wanted.mappings.push_back({Protocol::kTcp, static_cast<std::uint16_t>(10000 + i), 80, std::nullopt});
  bench.desired.host_ports.set_pods({wanted});
  (void)bench.write();
  bench.check_equal();
  wanted.address = *Address::parse("10.244.1.6");
  bench.desired.host_ports.set_pods({wanted});
  const auto steps = bench.write();
  bench.check_equal();
  CHECK(to_text(steps[0]) == "create table ip nat");
  CHECK(count(steps, Operation::kDeleteRule) == 1);
  CHECK(bench.echoed.empty());
}

TEST_CASE("chains that go may jump to one another") {
  Bench bench;
  for (unsigned i = 0; i < 3; ++i) bench.desired.service_ports.upsert(port(i, 2));
  (void)bench.write();
  for (unsigned i = 0; i < 3; ++i) bench.desired.service_ports.erase({port(i).name, Protocol::kTcp});
  const auto steps = bench.write();
  bench.check_equal();
  CHECK(count(steps, Operation::kDeleteChain) == 9);
  CHECK(bench.after.removed.size() == 9);
}

TEST_CASE("a chain that others jump to is emptied, and stays") {
  Bench bench;
  bench.desired.service_ports.upsert(port(1));
  (void)bench.write();
  const ChainId chain = service_chain(bench, 1);
  Rule foreign;
  foreign.target = Jump{std::string(chain.name.view())};
  bench.live.put(Table::kNat, "SOMEBODY", foreign);
  bench.desired.service_ports.erase({"demo/s1", Protocol::kTcp});
  bench.undeletable = {chain};
  const auto steps = bench.write();
  CHECK(count(steps, Operation::kDeleteChain) == 1);  // the endpoint's
  CHECK(bench.live.has(chain));
  CHECK(bench.live.rules(chain.table, std::string(chain.name.view())).empty());
  CHECK(bench.steps({}, {chain}).empty());
}

TEST_CASE("jumps that are missing come next to their neighbours, and tables and builtin chains with them") {
  Bench bench;
  (void)bench.write();
  SECTION("one of several in a chain") {
    auto& forward = bench.live.chains.at({Table::kFilter, "FORWARD"});
    REQUIRE(forward.size() > 2);
    const auto whole = bench.live.rules(Table::kFilter, "FORWARD");
    forward.erase(forward.begin() + 1);
    const auto steps = bench.write();
    REQUIRE(steps.size() == 1);
    CHECK(bench.live.rules(Table::kFilter, "FORWARD") == whole);
  }
  SECTION("rules of others stay where they are") {
    Rule other;
    other.target = Verdict::kAccept;
    bench.live.put(Table::kFilter, "FORWARD", other);
    CHECK(bench.steps().empty());
  }
  SECTION("each once, whatever a restore has added") {
    const auto whole = bench.live.rules(Table::kFilter, "FORWARD");
    for (Rule again : whole) {
      bench.live.put(Table::kFilter, "FORWARD", again);
      again.matches.clear();
      bench.live.put(Table::kFilter, "FORWARD", again);
    }
    CHECK(bench.write().size() == 2 * whole.size());
    CHECK(bench.live.rules(Table::kFilter, "FORWARD") == whole);
    CHECK(bench.steps().empty());
  }
  SECTION("those with conditions of somebody else stay") {
    const Rule jump = bench.live.rules(Table::kFilter, "FORWARD").back();
    Rule other = jump;
    other.protocol = Protocol::kUdp;
    bench.live.put(Table::kFilter, "FORWARD", other);
    other = jump;
    other.in_interface = InterfaceMatch{"eth1", false, false};
    bench.live.put(Table::kFilter, "FORWARD", other);
    other = jump;
    other.matches.emplace_back(MarkMatch{1, 1, false});
    bench.live.put(Table::kFilter, "FORWARD", other);
    other = jump;
    std::get<Jump>(other.target).is_goto = true;
    bench.live.put(Table::kFilter, "FORWARD", other);
    CHECK(bench.steps().empty());
  }
  SECTION("a builtin chain that went") {
    bench.live.chains.erase({Table::kNat, "OUTPUT"});
    bench.live.bases.erase({Table::kNat, "OUTPUT"});
    const auto steps = bench.write();
    CHECK(to_text(steps.front()) == "create chain ip nat OUTPUT with a hook");
    CHECK(bench.live.has_base(Table::kNat, "OUTPUT"));
    CHECK(bench.steps().empty());
  }
  SECTION("those of host ports stand behind ours, the masquerading one before") {
    bench.desired.host_ports.set_pods({pod()});
    (void)bench.write();
    CHECK(jump_target(bench.live.rules(Table::kNat, "PREROUTING").back()) == "CNI-HOSTPORT-DNAT");
    CHECK(jump_target(bench.live.rules(Table::kNat, "POSTROUTING").front()) == "CNI-HOSTPORT-MASQ");
    CHECK(bench.steps().empty());
  }
}

TEST_CASE("what the gate holds stays as it is, and nothing else waits for it") {
  Bench bench;
  bench.desired.service_ports.upsert(port(1));
  bench.desired.service_ports.upsert(port(2));
  (void)bench.write();
  const ChainId held = service_chain(bench, 1), other = service_chain(bench, 2);
  const auto closed = [&](Table table, std::string_view chain) {
    return !(table == held.table && chain == held.name.view());
  };
  const auto text = [](const ChainId& id) { return std::string(id.name.view()); };
  SECTION("a chain with other rules") {
    bench.live.chains.at({Table::kNat, text(held)}).clear();
    bench.live.chains.at({Table::kNat, text(other)}).clear();
    auto steps = bench.write(closed, {held, other});
    CHECK(bench.live.rules(Table::kNat, text(held)).empty());
    CHECK_FALSE(bench.live.rules(Table::kNat, text(other)).empty());
    steps = bench.write({}, {held});
    bench.check_equal();
  }
  SECTION("a chain that the objects want to be different is written") {
    bench.live.chains.at({Table::kNat, text(held)}).clear();
    bench.desired.service_ports.upsert(port(1, 2));
    (void)bench.write(closed, {held});
    bench.check_equal();
  }
  SECTION("a missing chain to which a rule that is healed leads is made, and filled") {
    bench.live.chains.at({Table::kNat, "KUBE-SERVICES"}).clear();
    bench.live.chains.erase({Table::kNat, text(held)});
    bench.live.chains.erase({Table::kNat, text(other)});
    (void)bench.write(closed, {held, other, kNatServices});
    bench.check_equal();
  }
  SECTION("a missing chain to which nothing leads waits") {
    std::erase_if(bench.live.chains.at({Table::kNat, "KUBE-SERVICES"}),
                  [&](const auto& one) { return jump_target(one.rule) == text(held); });
    bench.live.chains.erase({Table::kNat, text(held)});
    CHECK(bench.steps(closed, {held}).empty());
  }
  SECTION("KUBE-FIREWALL, which is only jumped to") {
    bench.live.chains.erase({Table::kFilter, "KUBE-FIREWALL"});
    std::erase_if(bench.live.chains.at({Table::kFilter, "INPUT"}),
                  [](const auto& one) { return jump_target(one.rule) == "KUBE-FIREWALL"; });
    std::erase_if(bench.live.chains.at({Table::kFilter, "OUTPUT"}),
                  [](const auto& one) { return jump_target(one.rule) == "KUBE-FIREWALL"; });
    (void)bench.write([](Table, std::string_view chain) { return chain != "KUBE-FIREWALL"; });
    CHECK(bench.live.chains.contains({Table::kFilter, "KUBE-FIREWALL"}));
    CHECK(std::ranges::count(bench.after.contents, ChainId{Table::kFilter, ChainName("KUBE-FIREWALL")},
                             &AfterPlan::Content::id) == 1);
    CHECK(bench.steps().empty());
  }
  SECTION("a builtin chain") {
    bench.live.chains.at({Table::kNat, "PREROUTING"}).clear();
    bench.live.chains.at({Table::kNat, "OUTPUT"}).clear();
    (void)bench.write([](Table, std::string_view chain) { return chain != "OUTPUT"; });
    CHECK_FALSE(bench.live.rules(Table::kNat, "PREROUTING").empty());
    CHECK(bench.live.rules(Table::kNat, "OUTPUT").empty());
  }
}

TEST_CASE("whatever was done to the tables, one plan puts it right") {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    const auto below = [&](std::size_t limit) { return static_cast<std::size_t>(random() % limit); };
    CompileOptions options = test::options();
    options.form = DispatchForm::kAuto;
    options.tree_threshold = 12;
    Bench bench(options);
    for (int round = 0; round < 25; ++round) {
      for (std::size_t i = below(6); i > 0; --i) {
        const auto number = static_cast<unsigned>(below(30));
        if (below(3) == 0) {
          bench.desired.service_ports.erase({port(number).name, Protocol::kTcp});
        } else {
          bench.desired.service_ports.upsert(port(number, static_cast<unsigned>(below(4))));
        }
      }
      // Somebody takes rules away, turns them round, or puts others there.
      for (std::size_t i = bench.live.chains.empty() ? 0 : below(4); i > 0; --i) {
        auto at = bench.live.chains.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(below(bench.live.chains.size())));
        if (!is_own_chain(at->first.first, at->first.second)) continue;
        switch (below(3)) {
          case 0: at->second.clear(); break;
          case 1: std::ranges::reverse(at->second); break;
          default: {
            Rule other;
            other.target = Verdict::kDrop;
            bench.live.put(at->first.first, at->first.second, other);
          }
        }
      }
      std::set<ChainId> all = bench.wanted();
      for (const auto& [key, rules] : bench.live.chains)
        if (is_own_chain(key.first, key.second)) all.insert({key.first, ChainName(key.second)});
      Diff::Gate gate;
      if (below(2) == 0)  // some chains are held; what stands must be consistent all the same
        gate = [&, salt = below(7)](Table, std::string_view chain) { return (chain.back() + salt) % 5 != 0; };
      (void)bench.write(gate, all);
      if (gate) (void)bench.write({}, all);
      bench.check_equal();
      REQUIRE(bench.steps({}, bench.wanted()).empty());
    }
  }
}

}  // namespace kubenatd::rules::iptables
