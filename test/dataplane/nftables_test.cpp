#include <random>

#include "test/dataplane/sync_support.h"

namespace kubenatd::agent::test {
namespace {

std::vector<std::string> addresses(std::size_t count, std::size_t first = 0) {
  std::vector<std::string> all;
  for (std::size_t i = first; i < first + count; ++i)
    all.push_back("10.244." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1));
  return all;
}

std::vector<objects::ObjectEvent> objects() {
  objects::Service web = service("web", "10.96.0.1");
  web.ports[0].node_port = 30080;
  web.affinity_seconds = 60;
  objects::Service balanced = service("balanced", "10.96.0.4");
  balanced.ports[0].node_port = 30090;
  balanced.external_policy_local = true;
  balanced.load_balancer_ips = {ip("203.0.113.4")};
  balanced.source_ranges = {rules::Prefix::parse("192.0.2.0/24").value(),
                            rules::Prefix::parse("192.0.2.128/25").value(),
                            rules::Prefix::parse("198.51.100.7/32").value()};
  objects::Service open = service("open", "10.96.0.5");
  open.load_balancer_ips = {ip("203.0.113.5")};
  open.source_ranges = {rules::Prefix::parse("0.0.0.0/0").value()};
  return {put(web),
          put(slice("web", {"10.244.1.5", "10.244.2.7"})),
          put(balanced),
          put(slice("balanced", addresses(7))),
          put(open),
          put(slice("open", {"10.244.1.6"})),
          put(service("idle", "10.96.0.3")),
          put(service("six", "fd00:10:96::1")),
          put(slice("six", {"fd00:10:244:1::5"}))};
}

std::string difference(const std::vector<objects::ObjectEvent>& wanted) {
  return test::difference(nftables_config(), wanted);
}

}  // namespace

TEST_CASE("nftables mode writes what it wants, nft lists it, and a restart changes nothing", "[short]") {
  SYNC_TEST_WORLD();
  Agent agent(nftables_config());
  CHECK(agent.apply(objects()).wrote());
  CHECK(difference(objects()) == "");
  const std::string listed = must_run("nft list ruleset");
  CHECK(has_line(listed, "203.0.113.4 . tcp . 80 comment \"demo/balanced\""));
  CHECK(has_line(listed, "203.0.113.4 . tcp . 80 . 192.0.2.0/24"));
  if (!world().fake()) CHECK(has_line(listed, "timeout 1m"));  // the fake nft does not print what rules say
  CHECK_FALSE(has_line(listed, "[invalid type]"));
  CHECK_FALSE(agent.audit().wrote());
  Agent again(nftables_config());
  CHECK_FALSE(again.apply(objects()).wrote());
}

TEST_CASE("whatever others do to the table of nftables mode is put right, and theirs stays") {
  SYNC_TEST_WORLD();
  must_run("nft add table inet firewall");
  must_run("nft add chain inet firewall input { type filter hook input priority 10 ; }");
  Agent agent(nftables_config());
  agent.apply(objects());
  const std::vector<std::string> edits{
      "delete element ip kubenatd cluster-ips { 10.96.0.1 }",
      "delete element ip kubenatd external-local { 203.0.113.4 . tcp . 80 }",
      "delete element ip kubenatd endpoints { 10.96.0.1 . tcp . 80 . 7f00:1 }",
      "add element ip kubenatd endpoints { 10.96.0.1 . tcp . 80 . 7f00:2 : 10.244.9.9 . 9999 }",
      "delete element ip kubenatd source-ranges { 203.0.113.4 . tcp . 80 . 192.0.2.0/24 }",
      "flush set ip kubenatd nodeports",
      "flush chain ip kubenatd services",
      "add rule ip kubenatd services counter drop",
      "insert rule ip6 kubenatd external accept",
      "add chain ip kubenatd stranger",
      "add set ip kubenatd stranger { type ipv4_addr ; }",
      "delete table ip kubenatd",
      "delete table ip6 kubenatd",
      "flush ruleset",
  };
  for (const std::string& edit : edits) {
    INFO(edit);
    must_run({"nft", edit});
    REQUIRE(agent.reconciler().handle_events());
    CHECK(agent.reconciler().due(dataplane::Reconciler::Clock::now()));
    const dataplane::RoundReport report = agent.sync();
    CHECK(report.wrote());
    CHECK_FALSE(healed_by(report).empty());
    CHECK(difference(objects()) == "");
    if (edit != "flush ruleset") CHECK(has_line(must_run("nft list ruleset"), "table inet firewall"));
  }
  CHECK_FALSE(agent.audit().wrote());
}

TEST_CASE("a change of one endpoint among thousands changes a few elements") {
  SYNC_TEST_WORLD();
  Agent agent(nftables_config());
  std::vector<std::string> all = addresses(5000);
  agent.apply({put(service("large", "10.96.0.1")), put(slice("large", all))});
  const auto change = [&] {
    const std::vector<objects::ObjectEvent> wanted{put(service("large", "10.96.0.1")), put(slice("large", all))};
    const dataplane::RoundReport report = agent.apply({put(slice("large", all))});
    CHECK(difference(wanted) == "");
    return written_elements(report);
  };
  all.erase(all.begin() + 2500);
  CHECK(change() == 3);  // the hole and the last one that fills it
  all.push_back("10.245.0.1");
  CHECK(change() == 1);
  all[17] = "10.245.0.2";
  CHECK(change() == 2);
  all.resize(1);
  CHECK(change() > 4998);
  all.clear();
  CHECK(change() < 8);
  all = addresses(3);
  CHECK(change() < 8);
}

TEST_CASE("any sequence of changes ends where a fresh start with the same objects does") {
  SYNC_TEST_WORLD();
  std::mt19937 random(7);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same sequence in every run
  const auto below = [&](std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
  };
  Agent agent(nftables_config());
  std::map<std::string, std::vector<objects::ObjectEvent>> present;
  for (int round = 0; round < 60; ++round) {
    std::vector<objects::ObjectEvent> events;
    for (std::size_t i = 0; i < 1 + below(4); ++i) {
      const std::size_t number = below(8);
      const std::string name = "s" + std::to_string(number);
      if (below(6) == 0) {
        events.push_back(remove_service(name));
        events.push_back(remove_slice(name));
        present.erase(name);
        continue;
      }
      const auto protocol = below(3) == 0 ? rules::Protocol::kUdp : rules::Protocol::kTcp;
      objects::Service one = service(name, "10.96.0." + std::to_string(number + 1), protocol);
      if (below(2) == 0) one.ports[0].node_port = static_cast<std::uint16_t>(30000 + below(3));
      if (below(2) == 0) one.load_balancer_ips = {ip("203.0.113." + std::to_string(below(3) + 1))};
      if (below(3) == 0) one.external_ips = {ip("198.51.100." + std::to_string(below(3) + 1))};
      if (below(3) == 0) one.source_ranges = {rules::Prefix::parse("192.0.2.0/24").value()};
      one.external_policy_local = below(2) == 0;
      one.internal_policy_local = below(3) == 0;
      if (below(3) == 0) one.affinity_seconds = static_cast<std::uint32_t>(60 + below(2));
      objects::EndpointSlice endpoints = slice(name, addresses(below(9), below(20)), protocol);
      for (objects::SliceEndpoint& endpoint : endpoints.endpoints)
        if (below(2) == 0) endpoint.place = objects::on_node("node-1");
      present[name] = {put(one), put(endpoints)};
      events.insert(events.end(), present[name].begin(), present[name].end());
    }
    agent.apply(events);
    if (round % 4 != 3) continue;
    std::vector<objects::ObjectEvent> all;
    for (const auto& [name, own] : present) all.insert(all.end(), own.begin(), own.end());
    INFO("round " << round);
    CHECK(difference(all) == "");
  }
  CHECK_FALSE(agent.audit().wrote());
}

TEST_CASE("a start in the other mode takes away what the first mode made, and nothing else") {
  SYNC_TEST_WORLD();
  must_run("iptables -t nat -A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE");
  Agent(config()).apply(objects());
  REQUIRE(has_line(saved(), "KUBE-SERVICES"));
  Agent(nftables_config()).apply(objects());
  CHECK_FALSE(has_line(saved(), "KUBE-SERVICES"));
  CHECK(has_line(saved(), "172.17.0.0/16"));
  CHECK(difference(objects()) == "");
  Agent(config()).apply(objects());
  CHECK_FALSE(has_line(must_run("nft list tables"), "kubenatd"));
  check_no_difference(config(), objects());
}

TEST_CASE("an element that the kernel refuses takes its service port out, and nothing else, in nftables mode") {
  SYNC_TEST_WORLD();
  Agent agent(nftables_config());
  const std::vector<objects::ObjectEvent> good{put(service("web", "10.96.0.1")), put(slice("web", {"10.244.1.5"}))};
  // An address of the other family does not fit into the map.
  objects::EndpointSlice wrong = slice("bad", {"fd00:10:244:1::5", "fd00:10:244:1::6"});
  wrong.family = rules::Family::kIpv4;
  std::vector<objects::ObjectEvent> all = good;
  all.insert(all.end(), {put(service("bad", "10.96.0.2")), put(wrong)});
  const dataplane::RoundReport report = agent.try_sync(all);
  INFO(Agent::describe(report));
  const auto problems = problems_of(report);
  REQUIRE(problems.size() == 1);
  CHECK(problems.front().starts_with("demo/bad: refused by the kernel: "));
  CHECK(std::ranges::none_of(report.families, [](const auto& one) { return one.error.has_value(); }));
  CHECK(difference(good) == "");
  // It stays out, quietly, and is in again when it is changed.
  CHECK_FALSE(agent.audit().wrote());
  agent.apply({put(slice("bad", {"10.244.1.6"}))});
  std::vector<objects::ObjectEvent> outcome = good;
  outcome.insert(outcome.end(), {put(service("bad", "10.96.0.2")), put(slice("bad", {"10.244.1.6"}))});
  CHECK(difference(outcome) == "");
}

TEST_CASE("ServiceCIDRs of the cluster are followed in nftables mode") {
  SYNC_TEST_WORLD();
  config::Config config = nftables_config();
  config.service_cidrs = {rules::Prefix::parse("10.96.0.0/16").value()};
  Agent agent(config);
  agent.apply(objects());
  const auto put_cidrs = [](const std::vector<std::string>& cidrs) {
    objects::ServiceCidr object;
    for (const std::string& cidr : cidrs) object.cidrs.push_back(rules::Prefix::parse(cidr).value());
    return objects::ObjectEvent{
        objects::Kind::kServiceCidr, {"", "more"}, std::make_shared<const objects::Object>(object)};
  };
  const auto chain = [](const char* family) {
    return must_run({"nft", "list", "chain", family, "kubenatd", "unused-cluster-ips"});
  };
  CHECK(agent.apply({put_cidrs({"10.97.0.0/16", "fd00:10:97::/112"})}).wrote());
  if (!world().fake()) {  // the fake nft does not print what rules say
    CHECK(has_line(chain("ip"), "ip daddr 10.96.0.0/16 drop"));
    CHECK(has_line(chain("ip"), "ip daddr 10.97.0.0/16 drop"));
    CHECK(has_line(chain("ip6"), "ip6 daddr fd00:10:97::/112 drop"));
  }
  CHECK_FALSE(agent.apply({put_cidrs({"10.97.0.0/16", "fd00:10:97::/112"})}).wrote());
  CHECK(agent.apply({{objects::Kind::kServiceCidr, {"", "more"}, nullptr}}).wrote());
  CHECK(test::difference(config, objects()) == "");
  if (world().fake()) return;
  CHECK(has_line(chain("ip"), "ip daddr 10.96.0.0/16 drop"));
  CHECK_FALSE(has_line(chain("ip"), "10.97"));
  CHECK_FALSE(has_line(chain("ip6"), "drop"));
}

}  // namespace kubenatd::agent::test
