#include <fmt/format.h>
#include <linux/netfilter/nf_tables.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

#include "agent/dataplane/iptables/dataplane.h"
#include "agent/dataplane/iptables/listing.h"
#include "agent/dataplane/iptables/refusals.h"
#include "netlink/core/attributes.h"
#include "netlink/iptables/rule_encoder.h"
#include "rules/hostport/compiler.h"
#include "rules/hostport/names.h"
#include "rules/walk/xt/save_text.h"
#include "test/unit/rules/service_port_builder.h"

namespace kubenatd::agent::dataplane::iptables {
namespace {

using netlink::TableEvent;
using rules::Family;
using rules::Operation;
using rules::Table;
using rules::iptables::DesiredChains;
using rules::iptables::DesiredTables;
namespace builder = rules::iptables::test;

const Time kStart = Time{} + std::chrono::hours(1);
const rules::ServicePortKey kWeb{"demo/web:http", rules::Protocol::kTcp};

rules::hostport::PodPorts pod() {
  return {.id = "demo/pod",
          .address = *rules::Address::parse("10.244.1.5"),
          .mappings = {{rules::Protocol::kTcp, 8080, 80, std::nullopt}}};
}

struct Node {
  config::Config config = config::default_config();
  config::Environment environment;
  std::optional<objects::Node> node;
  NodeFacts facts{.config = config, .environment = environment, .node = node, .service_cidrs = {}};
  IptablesDataplane dataplane{Family::kIpv4, facts};
};

state::ViewChange change(const rules::ServicePortView& view) {
  return {.family = Family::kIpv4, .name = view.name, .protocol = view.protocol, .view = view};
}

rules::Refusal refusal_of(Table table, std::string_view chain, const rules::Rule& rule) {
  std::string bytes(netlink::iptables::encoded_bound(rule) + 64, '\0');
  const char* end = netlink::iptables::encode_rule(bytes.data(), rule, Family::kIpv4);
  bytes.resize(static_cast<std::size_t>(end - bytes.data()));
  return {.operation = Operation::kAddRule,
          .object = rules::chain_ref(Family::kIpv4, name_of(table), chain),
          .code = ENOENT,
          .explanation = {},
          .expression = {},
          .jump = {},
          .attributes = std::string(netlink::find_attribute(bytes, NFTA_RULE_EXPRESSIONS).payload)};
}

}  // namespace

TEST_CASE("to look at what is wanted changes nothing: the second look is as the first") {
  Node node;
  node.dataplane.apply(change(builder::web()));
  node.dataplane.set_pods({pod()});
  const std::string first = node.dataplane.render();
  CHECK(first.find("--comment \"demo/web:http cluster IP\"") != std::string::npos);
  CHECK(first.find("CNI-HOSTPORT-DNAT") != std::string::npos);
  CHECK(node.dataplane.render() == first);
  CHECK_FALSE(node.dataplane.settled());

  const auto ruleset = node.dataplane.desired_ruleset(nullptr);
  REQUIRE(ruleset);
  const auto* nat = ruleset->find(rules::walk::TableFamily::kIp, "nat");
  REQUIRE(nat != nullptr);
  const auto* services = nat->chain("KUBE-SERVICES");
  REQUIRE(services != nullptr);
  CHECK(services->rules.size() == 2);
  CHECK(node.dataplane.render() == first);

  node.dataplane.apply({.family = Family::kIpv4, .name = kWeb.first, .protocol = kWeb.second, .view = std::nullopt});
  node.dataplane.set_pods({});
  CHECK(node.dataplane.render() == Node().dataplane.render());
}

TEST_CASE("of very many rules that are wanted, each chain is the one that is listed") {
  Node node;
  node.config.tree_threshold = 100;
  node.dataplane.set_node(node.facts);
  for (unsigned i = 0; i < 900; ++i) {
    rules::ServicePortView view = builder::web();
    view.name = fmt::format("demo/web-{}:http", i);
    view.cluster_ip = *rules::Address::parse(fmt::format("10.96.{}.{}", i / 250, i % 250 + 1));
    if (i % 10 == 0) view.node_port = static_cast<std::uint16_t>(30000 + i);
    if (i % 7 == 0) view.endpoints.clear();
    view.has_endpoints = !view.endpoints.empty();
    node.dataplane.apply(change(view));
  }
  node.dataplane.set_pods({pod()});
  const std::string listed = node.dataplane.render();
  rules::walk::Ruleset by_text;
  rules::walk::xt::Remarks remarks;
  REQUIRE(rules::walk::xt::read_save_text(listed, by_text, remarks));

  auto ruleset = node.dataplane.desired_ruleset(nullptr);
  REQUIRE(ruleset);
  std::size_t rules = 0;
  for (const auto& expected : by_text.tables()) {
    const auto* table = ruleset->find(expected.family, expected.name);
    REQUIRE(table != nullptr);
    REQUIRE(table->on_demand != nullptr);
    CHECK(table->chain("KUBE-NO-SUCH-CHAIN") == nullptr);
    CHECK(table->chain("a name that is too long to be one of these") == nullptr);
    CHECK(table->has_chain_like("KUBE-SVC-") == (expected.name == "nat"));
    CHECK(table->has_chain_like("KUBE-FORWARD") == (expected.name == "filter"));
    for (const auto& [name, chain] : expected.chains) {
      INFO(name);
      const auto* found = table->chain(name);
      REQUIRE(found != nullptr);
      CHECK(found->base.has_value() == chain.base.has_value());
      REQUIRE(found->rules.size() == chain.rules.size());
      for (std::size_t i = 0; i < chain.rules.size(); ++i) REQUIRE(found->rules[i].text == chain.rules[i].text);
      rules += chain.rules.size();
    }
  }
  CHECK(rules > rules::walk::kManyRules);
  CHECK(ruleset->find(rules::walk::TableFamily::kIp, "nat")->has_chain_like("KUBE-SVC-IP-"));

  // It is of the time when it was asked for.
  const auto& nat = *ruleset->find(rules::walk::TableFamily::kIp, "nat");
  auto again = node.dataplane.desired_ruleset(nullptr);
  REQUIRE(again);
  for (unsigned i = 0; i < 900; ++i)
    node.dataplane.apply({.family = Family::kIpv4,
                          .name = fmt::format("demo/web-{}:http", i),
                          .protocol = rules::Protocol::kTcp,
                          .view = std::nullopt});
  const auto* later = again->find(rules::walk::TableFamily::kIp, "nat")->chain("KUBE-NODEPORTS");
  REQUIRE(later != nullptr);
  CHECK(later->rules.size() == nat.chain("KUBE-NODEPORTS")->rules.size());
  CHECK_FALSE(later->rules.empty());
}

TEST_CASE("the rules that are owned are told by table") {
  Node node;
  const auto owned = node.dataplane.owned_rules();
  REQUIRE(owned.size() == 2);
  CHECK(owned[0].table == Table::kFilter);
  CHECK(owned[1].table == Table::kNat);
  CHECK(owned[1].count > 0);
}

TEST_CASE("what is refused is taken out by its chain or rule, tried again later, and told when it is in force") {
  DesiredChains desired{DesiredTables(builder::options()), {}};
  desired.service_ports.upsert(builder::web());
  desired.host_ports.set_pods({pod()});
  struct Nowhere final : rules::iptables::ChainSink {
    void chain(const rules::ChainRules& one, const rules::Digest&) override { chains.push_back(one); }
    void shared(const rules::iptables::SharedChain&) override {}
    void gone(const rules::ChainId&) override {}
    std::vector<rules::ChainRules> chains;
  } sink;
  desired.take_changes(sink);
  Refusals refusals(Family::kIpv4, desired);

  const auto dispatch = rules::iptables::compile_dispatch(builder::web(), builder::options());
  const auto entries = rules::hostport::compile_entries(pod());
  const auto [refusal, name, kind] = GENERATE_COPY(
      std::tuple(refusal_of(Table::kNat, "KUBE-SERVICES", dispatch.front().rule), "demo/web:http",
                 RefusedObject::Kind::kServicePort),
      std::tuple(refusal_of(Table::kNat, rules::hostport::kDnatChain, entries.front()), "demo/pod",
                 RefusedObject::Kind::kPod),
      std::tuple(refusal_of(Table::kNat, rules::hostport::compile_container(pod()).id.name, rules::Rule{}), "demo/pod",
                 RefusedObject::Kind::kPod));
  const std::size_t views = kind == RefusedObject::Kind::kServicePort ? 0 : 1;

  SyncReport report;
  CHECK_FALSE(refusals.is_trial(refusal));
  REQUIRE(refusals.take_out(refusal, kStart, report));
  REQUIRE(report.refused.size() == 1);
  CHECK(report.refused[0].name == name);
  CHECK(report.refused[0].kind == kind);
  CHECK(refusals.all().size() == 1);
  CHECK(desired.has_changes());
  std::size_t wanted = 0;
  desired.service_ports.for_each_view([&](const auto&) { ++wanted; });
  CHECK(wanted == views);
  CHECK(desired.host_ports.empty() == (kind == RefusedObject::Kind::kPod));
  desired.take_changes(sink);

  REQUIRE(refusals.due());
  CHECK(*refusals.due() > kStart);
  refusals.readmit_due(kStart);
  CHECK_FALSE(desired.has_changes());
  refusals.readmit_due(*refusals.due());
  CHECK(desired.has_changes());
  desired.take_changes(sink);
  CHECK(refusals.is_trial(refusal));

  SECTION("the kernel takes it now") {
    refusals.succeeded(report);
    CHECK(report.in_force == std::vector<std::string>{name});
    CHECK(refusals.all().empty());
    CHECK_FALSE(refusals.due());
  }
  SECTION("the kernel refuses it again: that is no news") {
    REQUIRE(refusals.take_out(refusal, kStart, report));
    CHECK(report.refused.size() == 1);
    CHECK_FALSE(refusals.is_trial(refusal));
    refusals.succeeded(report);
    CHECK(report.in_force.empty());
    CHECK(refusals.all().size() == 1);
    refusals.hurry();
    CHECK(*refusals.due() == Time{});
  }
  SECTION("it changes: whatever was said of it is over") {
    auto other = pod();
    other.mappings.front().host_port = 8081;
    refusals.set_pods({other});
    refusals.forget(kWeb);
    CHECK(refusals.all().empty());
  }
  SECTION("the same pods again are no change") {
    refusals.set_pods({pod()});
    CHECK(refusals.all().size() == 1);
  }
}

TEST_CASE("a rule with the comment of a service port and other content is nobody's") {
  DesiredChains desired{DesiredTables(builder::options()), {}};
  desired.service_ports.upsert(builder::web());
  Refusals refusals(Family::kIpv4, desired);
  rules::Rule rule = rules::iptables::compile_dispatch(builder::web(), builder::options()).front().rule;
  rule.destination = rules::AddressMatch{*rules::Prefix::parse("203.0.113.1/32")};
  SyncReport report;
  CHECK_FALSE(refusals.take_out(refusal_of(Table::kNat, "KUBE-SERVICES", rule), kStart, report));
  CHECK(report.refused.empty());
}

TEST_CASE("events are about our chains and about nothing else") {
  DesiredChains desired{DesiredTables(builder::options()), {}};
  IptablesSync sync(Family::kIpv4, desired);
  TableEvent event;
  event.kind = TableEvent::Kind::kRuleAdded;
  event.table = Table::kNat;
  event.table_name = "nat";
  const auto note = [&](std::string_view chain) {
    event.chain = chain;
    return sync.note(event, kStart);
  };
  CHECK_FALSE(note("DOCKER"));
  CHECK_FALSE(note("PREROUTING"));
  CHECK(note("CNI-DN-0123456789abcdef01234"));  // another writer's host ports, not drift
  CHECK(note("KUBE-SERVICES"));
  event.table = Table::kMangle;
  CHECK_FALSE(note("KUBE-SERVICES"));
  event.family = Family::kIpv6;
  event.table = Table::kNat;
  CHECK_FALSE(note("KUBE-SERVICES"));
  CHECK(sync.due() == Time{});
  CHECK_FALSE(sync.settled());
}

}  // namespace kubenatd::agent::dataplane::iptables
