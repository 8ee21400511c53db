#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <string_view>

#include "rules/nftables/desired.h"
#include "rules/nftables/ruleset.h"
#include "rules/nftables/text.h"
#include "rules/walk/nft/rule_print.h"
#include "rules/walk/nft/ruleset_text.h"

/// kubenatd's own table, as nftables mode prints it, read and printed again.
namespace kubenatd::rules::nftables {
namespace {

Address ip(const char* text) {
  return Address::parse(text).value();
}

DesiredElements& filled(DesiredElements& desired, Family family) {
  ServicePortView view;
  view.name = "demo/web:http";
  view.cluster_ip = ip(family == Family::kIpv4 ? "10.96.0.10" : "fd00:96::10");
  view.port = 80;
  view.affinity_seconds = 10800;
  view.has_endpoints = true;
  Endpoint endpoint;
  endpoint.address = ip(family == Family::kIpv4 ? "10.244.1.5" : "fd00:244::5");
  endpoint.port = 8080;
  endpoint.is_ready = endpoint.is_serving = endpoint.for_cluster = endpoint.reachable = true;
  view.endpoints = {endpoint};
  desired.upsert(view);
  return desired;
}

}  // namespace

TEST_CASE("nft text: kubenatd's own rules are printed as its own words have them") {
  for (const Family family : kFamilies) {
    RulesetOptions options;
    options.node.family = family;
    options.node.local_detector =
        DetectByPrefix{Prefix::parse(family == Family::kIpv4 ? "10.244.0.0/16" : "fd00:244::/64").value()};
    options.service_cidrs = {Prefix::parse(family == Family::kIpv4 ? "10.96.0.0/12" : "fd00:96::/108").value()};
    DesiredElements desired(options);
    const std::string text = to_text(filled(desired, family), family);
    INFO(text);
    walk::Ruleset ruleset;
    const Status read = walk::nft::read_ruleset_text(text, ruleset);
    if (!read) FAIL(read.error().to_string());
    const walk::WalkTable& table = ruleset.tables().front();
    const Ruleset own = desired.ruleset();
    REQUIRE(table.chains.size() == own.chains.size());
    std::size_t count = 0;
    for (const Chain& chain : own.chains) {
      const walk::WalkChain* read_chain = table.chain(chain.name);
      REQUIRE(read_chain != nullptr);
      REQUIRE(read_chain->rules.size() == chain.rules.size());
      CHECK(read_chain->base.has_value() == (chain.hook != Hook::kNone));
      if (read_chain->base) CHECK(read_chain->base->priority == chain.priority);
      for (std::size_t i = 0; i < chain.rules.size(); ++i) {
        NftRule rule = chain.rules[i];
        CHECK(read_chain->rules[i].comment == rule.comment);
        rule.comment.clear();
        std::string expected = to_text(rule, family);
        // What packets remember and forget is no part of what is judged.
        if (const std::size_t timeout = expected.find(" timeout "); timeout != std::string::npos)
          expected.replace(timeout, expected.find(" }", timeout) - timeout, "");
        if (const std::size_t forget = expected.find("delete @affinity "); forget != std::string::npos)
          expected.replace(forget, expected.find('}', forget) + 1 - forget, "delete @affinity");
        CHECK(walk::nft::to_text(read_chain->rules[i].statements, table) == expected);
        CHECK(std::ranges::none_of(read_chain->rules[i].statements, [](const walk::Statement& each) {
          return std::holds_alternative<walk::Unjudged>(each) || std::holds_alternative<walk::OtherTarget>(each);
        }));
        ++count;
      }
    }
    CHECK(count > 80);
    for (const SetSpec& set : own.sets) {
      INFO(set.name);
      const walk::WalkSet* read_set = table.set(set.name);
      REQUIRE(read_set != nullptr);
      CHECK(read_set->parts.size() == set.key.size());
      CHECK(read_set->interval == set.interval);
      CHECK(read_set->dynamic == set.dynamic);
    }
    const walk::WalkSet* endpoints = table.set("endpoints");
    REQUIRE(endpoints != nullptr);
    REQUIRE(endpoints->elements.size() == 2);  // by number and by identity
    desired.for_each_element([](const SetRef& set) { return set.id == SetId::kEndpoints; },
                             [&](const ElementKey& key, const ElementValue& value) {
                               const auto read =
                                   std::ranges::find(endpoints->elements, walk::Bytes(std::string_view(key.key.view())),
                                                     &walk::SetElement::first);
                               REQUIRE(read != endpoints->elements.end());
                               CHECK(read->data == walk::Bytes(std::string_view(value.data.view())));
                             });
  }
}

}  // namespace kubenatd::rules::nftables
