#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "rules/nftables/desired.h"
#include "rules/nftables/emit.h"
#include "rules/nftables/endpoint_id.h"
#include "rules/nftables/text.h"

namespace kubenatd::rules::nftables {
namespace {

Address ip(const std::string& text) {
  return Address::parse(text).value();
}

Endpoint endpoint(const std::string& address, bool local = false) {
  Endpoint made;
  made.address = ip(address);
  made.port = 8080;
  made.is_local = made.for_local = local;
  made.is_ready = made.is_serving = made.for_cluster = made.reachable = true;
  return made;
}

ServicePortView view(const std::string& name, const std::string& cluster_ip, std::vector<Endpoint> endpoints) {
  ServicePortView made;
  made.name = name;
  made.cluster_ip = ip(cluster_ip);
  made.port = 80;
  made.has_endpoints = !endpoints.empty();
  made.endpoints = std::move(endpoints);
  return made;
}

using Elements = std::set<std::string>;

Elements elements_of(const DesiredElements& desired) {
  std::map<SetRef, SetSpec> sets;
  for (const SetSpec& set : desired.ruleset().sets) sets[set.ref] = set;
  Elements all;
  desired.for_each_element([](const SetRef& /*set*/) { return true; },
                           [&](const ElementKey& key, const ElementValue& value) {
                             const SetSpec& set = sets.at(key.set);
                             all.insert(set.name + " " + to_text(key, value, set, desired.options().node.family));
                           });
  return all;
}

std::vector<Backend> backends(const std::vector<int>& numbers) {
  std::vector<Backend> all;
  for (const int number : numbers) all.push_back({ip("10.0.0." + std::to_string(number)), 80});
  return all;
}

}  // namespace

TEST_CASE("a ClusterIP is an address, its endpoints by number, and a comment at the first") {
  DesiredElements desired{{}};
  desired.upsert(view("demo/web:http", "10.96.0.1", {endpoint("10.244.1.5", true), endpoint("10.244.2.7")}));
  CHECK(elements_of(desired) ==
        Elements{"cluster-ips 10.96.0.1",
                 "endpoints 10.96.0.1 . tcp . 80 . 7f00:0 comment \"demo/web:http\" : 10.244.1.5 . 8080",
                 "endpoints 10.96.0.1 . tcp . 80 . 7f00:1 : 10.244.2.7 . 8080", "hairpin 10.244.1.5 . 10.244.1.5"});
}

TEST_CASE("without endpoints it is refused, with endpoints on other nodes alone dropped") {
  DesiredElements desired{{}};
  desired.upsert(view("demo/idle", "10.96.0.1", {}));
  ServicePortView away = view("demo/away", "10.96.0.2", {endpoint("10.244.2.7")});
  away.internal_policy_local = true;
  desired.upsert(away);
  CHECK(elements_of(desired) == Elements{"cluster-ips 10.96.0.1", "cluster-ips 10.96.0.2",
                                         "no-endpoints 10.96.0.1 . tcp . 80 comment \"demo/idle\"",
                                         "no-local-endpoints 10.96.0.2 . tcp . 80 comment \"demo/away\""});
}

TEST_CASE("policy Local has both lists behind what is reached from outside, and source ranges do not overlap") {
  RulesetOptions options;
  options.node.node_address = ip("192.0.2.200");
  DesiredElements desired{options};
  ServicePortView one = view("demo/lb", "10.96.0.1", {endpoint("10.244.1.5", true), endpoint("10.244.2.7")});
  one.external_policy_local = true;
  one.node_port = 30080;
  one.load_balancer_ips = {ip("203.0.113.1")};
  one.source_ranges = {Prefix::parse("192.0.2.128/25").value(), Prefix::parse("192.0.2.0/24").value()};
  desired.upsert(one);
  const Elements all = elements_of(desired);
  for (const char* element :
       {"external-local 203.0.113.1 . tcp . 80 comment \"demo/lb\"",
        "endpoints 203.0.113.1 . tcp . 80 . 7f00:1 : 10.244.2.7 . 8080",
        "local-endpoints 203.0.113.1 . tcp . 80 . 7f01:0 comment \"demo/lb\" : 10.244.1.5 . 8080",
        "nodeports-local tcp . 30080 comment \"demo/lb\"",
        "nodeport-local-endpoints tcp . 30080 . 7f03:0 comment \"demo/lb\" : 10.244.1.5 . 8080",
        "firewalled 203.0.113.1 . tcp . 80 comment \"demo/lb\"", "source-ranges 203.0.113.1 . tcp . 80 . 192.0.2.0/24",
        "source-ranges 203.0.113.1 . tcp . 80 . 203.0.113.1"}) {
    INFO(element);
    CHECK(all.contains(element));
  }
  CHECK_FALSE(all.contains("source-ranges 203.0.113.1 . tcp . 80 . 192.0.2.128/25"));
  CHECK_FALSE(all.contains("local-endpoints 203.0.113.1 . tcp . 80 . 7f01:1 : 10.244.2.7 . 8080"));
}

TEST_CASE("an endpoint that goes leaves its number to the last one") {
  CHECK(keep_places(backends({1, 2, 3, 4, 5}), backends({1, 3, 4, 5})) == backends({1, 5, 3, 4}));
  CHECK(keep_places(backends({1, 2, 3}), backends({1, 3, 9})) == backends({1, 9, 3}));
  CHECK(keep_places(backends({1, 2, 3, 4}), backends({2})) == backends({2}));
  CHECK(keep_places(backends({1, 2, 3}), {}).empty());
  CHECK(keep_places({}, backends({3, 1, 3})) == backends({3, 1}));
  CHECK(keep_places(backends({5, 5, 6}), backends({5, 6})) == backends({5, 6}));
}

TEST_CASE("a change counts what changes alone, and a change back counts nothing") {
  DesiredElements desired{{}};
  std::vector<Endpoint> endpoints;
  for (int i = 1; i <= 100; ++i) endpoints.push_back(endpoint("10.244.1." + std::to_string(i)));
  const ServicePortView whole = view("demo/web", "10.96.0.1", endpoints);
  desired.upsert(whole);
  desired.committed();
  endpoints.erase(endpoints.begin() + 49);
  desired.upsert(view("demo/web", "10.96.0.1", endpoints));
  CHECK(desired.changes().size() == 2);  // number 49 and number 99
  desired.upsert(whole);
  CHECK(desired.changes().size() == 2);  // both have changed places
  desired.erase({"demo/web", Protocol::kTcp});
  desired.upsert(view("demo/web", "10.96.0.1", {}));
  desired.erase({"demo/web", Protocol::kTcp});
  desired.committed();
  CHECK(elements_of(desired).empty());
  CHECK_FALSE(desired.has_changes());
}

TEST_CASE("of two service ports with one address the first by name has it until it goes") {
  DesiredElements desired{{}};
  ServicePortView second = view("demo/b", "10.96.0.2", {endpoint("10.244.1.2")});
  ServicePortView first = view("demo/a", "10.96.0.1", {endpoint("10.244.1.1")});
  first.external_ips = second.external_ips = {ip("198.51.100.1")};
  const std::string mine = "endpoints 198.51.100.1 . tcp . 80 . 7f00:0 comment \"demo/a\" : 10.244.1.1 . 8080";
  const std::string theirs = "endpoints 198.51.100.1 . tcp . 80 . 7f00:0 comment \"demo/b\" : 10.244.1.2 . 8080";
  desired.upsert(second);
  CHECK(elements_of(desired).contains(theirs));
  desired.upsert(first);
  CHECK(elements_of(desired).contains(mine));
  CHECK_FALSE(elements_of(desired).contains(theirs));
  desired.erase({"demo/a", Protocol::kTcp});
  CHECK(elements_of(desired).contains(theirs));
}

TEST_CASE("a way draws from no more ranges than its largest service port needs") {
  DesiredElements desired{{}};
  const auto has = [&](const std::string& name) {
    const Ruleset ruleset = desired.ruleset();
    return std::ranges::find(ruleset.chains, name, &Chain::name) != ruleset.chains.end() ||
           std::ranges::find(ruleset.sets, name, &SetSpec::name) != ruleset.sets.end();
  };
  const auto sized = [](const char* name, const char* address, std::size_t count) {
    std::vector<Endpoint> endpoints;
    for (std::size_t i = 0; i < count; ++i)
      endpoints.push_back(endpoint(fmt::format("10.244.{}.{}", i / 250, i % 250 + 1)));
    return view(name, address, std::move(endpoints));
  };
  desired.upsert(sized("demo/small", "10.96.0.1", 4));
  CHECK(has("endpoints-4"));
  CHECK_FALSE(has("larger-4"));
  CHECK_FALSE(has("endpoints-16"));
  desired.committed();
  ServicePortView large = sized("demo/large", "10.96.0.2", 17);
  large.node_port = 30080;
  desired.upsert(large);
  CHECK(desired.ruleset_changed());
  for (const char* name :
       {"larger-16", "endpoints-64", "endpoints-udp-64", "nodeport-larger-4", "nodeport-endpoints-64"})
    CHECK(has(name));
  for (const char* name : {"larger-64", "endpoints-256", "local-larger-4", "local-endpoints-16"})
    CHECK_FALSE(has(name));
  desired.committed();

  // Another one with as many, and one endpoint more or less, are nothing new.
  desired.upsert(sized("demo/too", "10.96.0.3", 20));
  large.endpoints.push_back(endpoint("10.244.9.1"));
  desired.upsert(large);
  CHECK_FALSE(desired.ruleset_changed());
  desired.committed();
  desired.erase({"demo/too", Protocol::kTcp});
  CHECK_FALSE(desired.ruleset_changed());
  large.endpoints.resize(16);
  desired.upsert(large);
  CHECK(desired.ruleset_changed());
  CHECK_FALSE(has("endpoints-64"));
  CHECK(has("endpoints-16"));
  large.endpoints.resize(17, endpoint("10.244.9.2"));
  desired.upsert(large);
  CHECK_FALSE(desired.ruleset_changed());
  desired.refuse({"demo/large", Protocol::kTcp});
  CHECK_FALSE(has("endpoints-16"));
  desired.readmit({"demo/large", Protocol::kTcp});
  CHECK(has("endpoints-64"));
  large.external_policy_local = true;
  for (Endpoint& one : large.endpoints) one.is_local = one.for_local = true;
  desired.upsert(large);
  CHECK(has("nodeport-local-endpoints-64"));
  CHECK_FALSE(has("local-endpoints-16"));
}

TEST_CASE("the ruleset does not grow with the number of service ports") {
  DesiredElements desired{{}};
  const auto rules = [&] {
    std::size_t count = 0;
    for (const Chain& chain : desired.ruleset().chains) count += chain.rules.size();
    return count;
  };
  const std::size_t chains = desired.ruleset().chains.size();
  constexpr std::size_t kOwners = 12;  // three protocols, four maps
  const std::size_t before = rules();
  for (int i = 1; i < 200; ++i)
    desired.upsert(view("demo/s" + std::to_string(i), "10.96.0." + std::to_string(i), {endpoint("10.244.1.1")}));
  CHECK(rules() == before);
  ServicePortView sticky = view("demo/sticky", "10.96.1.1", {endpoint("10.244.1.1")});
  sticky.affinity_seconds = 10800;
  desired.upsert(sticky);
  sticky.name = "demo/sticky-too";
  sticky.cluster_ip = ip("10.96.1.2");
  desired.upsert(sticky);
  CHECK(rules() == before + kOwners + 5);
  CHECK(desired.ruleset().chains.size() == chains + 4);
  sticky.name = "demo/sticky-short";
  sticky.cluster_ip = ip("10.96.1.3");
  sticky.affinity_seconds = 100;
  desired.upsert(sticky);
  CHECK(rules() == before + kOwners + 7);
  sticky.affinity_seconds = 10800;
  desired.upsert(sticky);
  CHECK(desired.ruleset().sets.back().name == "affinity-10800s");
}

TEST_CASE("packets of known connections meet one chain of a hook, and more where Services need it") {
  DesiredElements desired{{}};
  const auto bases = [&] {
    std::multiset<std::pair<Hook, std::int32_t>> places;
    for (const Chain& chain : desired.ruleset().chains)
      if (chain.hook != Hook::kNone && !chain.nat) {
        CHECK(chain.rules.size() == 1);
        places.emplace(chain.hook, chain.priority);
      }
    return places;
  };
  using Places = std::multiset<std::pair<Hook, std::int32_t>>;
  const Places always{{Hook::kInput, 0}, {Hook::kForward, 0}, {Hook::kOutput, 0}};
  ServicePortView web = view("demo/web", "10.96.0.1", {endpoint("10.244.1.1")});
  web.load_balancer_ips = {ip("203.0.113.1")};
  desired.upsert(web);
  CHECK(bases() == always);
  desired.committed();

  web.source_ranges = {Prefix::parse("192.0.2.0/24").value()};
  desired.upsert(web);
  CHECK(desired.ruleset_changed());
  Places guarded = always;
  guarded.insert({{Hook::kPrerouting, -110}, {Hook::kOutput, -110}});
  CHECK(bases() == guarded);
  desired.committed();
  desired.refuse({"demo/web", Protocol::kTcp});
  CHECK(bases() == always);
  desired.readmit({"demo/web", Protocol::kTcp});
  CHECK_FALSE(desired.ruleset_changed());
  web.source_ranges.clear();
  web.affinity_seconds = 60;
  desired.upsert(web);
  Places sticky = always;
  sticky.insert({{Hook::kPrerouting, -90}, {Hook::kOutput, -90}});
  CHECK(bases() == sticky);
  desired.erase({"demo/web", Protocol::kTcp});
  CHECK(bases() == always);
}

TEST_CASE("with affinity an endpoint has an identity, too, which stays when its number changes") {
  DesiredElements desired{{}};
  ServicePortView sticky = view("demo/sticky", "10.96.0.1", {endpoint("10.244.1.1"), endpoint("10.244.1.2")});
  sticky.affinity_seconds = 60;
  desired.upsert(sticky);
  const auto element = [](const char* address) {
    const std::uint32_t id = endpoint_id(ip(address), 8080);
    CHECK((id & kOwnMask) == kOwn);
    CHECK((id & kDrawnMask) != kDrawn);
    return fmt::format("endpoints 10.96.0.1 . tcp . 80 . {:x}:{:x} : {} . 8080", id >> 16, id & 0xffff, address);
  };
  CHECK(elements_of(desired).contains(element("10.244.1.1")));
  CHECK(elements_of(desired).contains(element("10.244.1.2")));
  desired.committed();
  sticky.endpoints.erase(sticky.endpoints.begin());
  desired.upsert(sticky);
  CHECK(desired.changes().size() == 3);  // two numbers, an identity
  CHECK_FALSE(elements_of(desired).contains(element("10.244.1.1")));
  CHECK(elements_of(desired).contains(element("10.244.1.2")));
  desired.for_each_element([](const SetRef& set) { return set.id == SetId::kSticky; },
                           [](const ElementKey& /*key*/, const ElementValue& value) {
                             std::uint32_t id = 0;
                             std::memcpy(&id, value.data.data.data(), sizeof id);
                             CHECK(id != 0);
                             CHECK(id < kOwn);
                           });
}

TEST_CASE("what is hashed here is what the kernel hashes") {
  // What Linux 6.18 has put into a set by "jhash ip daddr . th dport mod 1056964608 seed 0x6b756265 offset 1073741824".
  CHECK(endpoint_id(ip("10.244.1.11"), 8080) == 0x4357af15U);
  CHECK(endpoint_id(ip("127.0.0.1"), 53) == 0x4611fff7U);
  CHECK(endpoint_id(ip("fd00:10:244:1::7"), 8080) == 0x4d61a706U);
  CHECK(endpoint_id(ip("::1"), 53) == 0x66fa3b1aU);
}

TEST_CASE("rules read as nft prints them") {
  RulesetOptions options;
  options.node.local_detector = DetectByPrefix{Prefix::parse("10.244.0.0/16").value()};
  options.service_cidrs = {Prefix::parse("10.96.0.0/12").value()};
  DesiredElements desired{options};
  ServicePortView sticky = view("demo/sticky", "10.96.0.1", {endpoint("10.244.1.1")});
  sticky.affinity_seconds = 10800;
  desired.upsert(sticky);
  std::vector<Endpoint> five;
  for (int i = 1; i <= 5; ++i) five.push_back(endpoint(fmt::format("10.244.1.{}", i)));
  desired.upsert(view("demo/five", "10.96.0.2", five));
  const std::string text = to_text(desired, Family::kIpv4);
  for (const char* line :
       {"ct state invalid,new,untracked jump arrivals",
        "ip daddr 127.0.0.0/8 iifname != \"lo\" ip saddr != 127.0.0.0/8 drop comment",
        "ip saddr != 10.244.0.0/16 meta mark set meta mark | 0x00004000 comment",
        "ip daddr . meta l4proto . th dport @larger-4 goto endpoints-16", "meta l4proto udp goto endpoints-udp-4",
        "meta priority set numgen random mod 16 offset 2130706432 dnat ip to ip daddr . meta l4proto . th dport . meta "
        "priority map @endpoints",
        "meta priority set jhash ip saddr . th sport . ip daddr . th dport mod 4 seed 0x6b756265 offset 2130706432 "
        "dnat",
        "meta l4proto tcp meta priority & ffff:0 == 7f00:0 meta priority set ct original ip daddr . meta l4proto . ct "
        "original proto-dst map @sticky",
        "meta priority & fffc:0 == 7f00:0 jump drawn-for", "meta priority & c000:0 == 4000:0 meta priority set none",
        "meta priority set ip daddr . meta l4proto . th dport map @sticky meta priority set ip saddr . meta l4proto . "
        "meta priority map @affinity jump remembered-endpoints",
        "meta priority set ip saddr . meta l4proto . meta priority map @affinity dnat ip to ip daddr . meta l4proto . "
        "th dport . meta priority map @endpoints",
        "meta priority @affinity-10800s update @affinity { ip saddr . meta l4proto . meta priority timeout 3h : meta "
        "priority }",
        "meta priority @affinity-10800s delete @affinity { ip saddr . meta l4proto . meta priority : meta priority } "
        "update @affinity { ip saddr . meta l4proto . meta priority timeout 3h : jhash ip daddr . th dport mod "
        "1056964608 seed 0x6b756265 offset 1073741824 } meta priority set 7f00:0",
        "ip daddr 10.96.0.0/12 drop comment",
        "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport @nodeports goto nodeport",
        "type filter hook prerouting priority dstnat + 10; policy accept;",
        "type nat hook prerouting priority dstnat - 10; policy accept;"}) {
    INFO(line);
    CHECK(text.find(line) != std::string::npos);
  }
}

TEST_CASE("the fast path is behind all other rules, for Services alone, and without it there is nothing of it") {
  RulesetOptions options;
  const std::string without = to_text(DesiredElements{options}, Family::kIpv4);
  CHECK(without.find("flow") == std::string::npos);
  CHECK(without.find("ct packets") == std::string::npos);
  options.fast_path = FastPath::kTcp;
  const std::string text = to_text(DesiredElements{options}, Family::kIpv4, {}, {"vetha", "eth0"});
  CHECK(text.find("\tflowtable fast-path {\n\t\thook ingress priority filter\n\t\tdevices = { eth0, vetha }\n\t}\n") !=
        std::string::npos);
  CHECK(text.find("\tchain filter-forward-fast-path {\n"
                  "\t\ttype filter hook forward priority 10000; policy accept;\n"
                  "\t\tct state established ct status dnat ct packets > 20 jump fast-path\n\t}\n") !=
        std::string::npos);
  CHECK(
      text.find("\tchain fast-path {\n"
                "\t\tmeta l4proto tcp ct original ip daddr @cluster-ips flow add @fast-path\n"
                "\t\tmeta l4proto tcp ct original ip daddr . meta l4proto . ct original proto-dst @external flow add "
                "@fast-path\n"
                "\t\tmeta l4proto tcp ct original ip daddr . meta l4proto . ct original proto-dst @external-local flow "
                "add @fast-path\n"
                "\t\tmeta l4proto tcp meta l4proto . ct original proto-dst @nodeports flow add @fast-path\n"
                "\t\tmeta l4proto tcp meta l4proto . ct original proto-dst @nodeports-local flow add @fast-path\n"
                "\t}\n") != std::string::npos);
  CHECK(text.find("meta l4proto udp ct original") == std::string::npos);
  options.fast_path = FastPath::kTcpAndUdp;
  options.node.node_port_addresses = {ip("192.168.77.2")};
  const std::string both = to_text(DesiredElements{options}, Family::kIpv4);
  CHECK(both.find("meta l4proto udp ct original ip daddr @cluster-ips flow add @fast-path") != std::string::npos);
  CHECK(both.find("meta l4proto udp ct original ip daddr @nodeport-addresses meta l4proto . ct original proto-dst "
                  "@nodeports flow add @fast-path") != std::string::npos);
  CHECK(both.find("hook ingress priority filter\n\t}\n") != std::string::npos);
}

TEST_CASE("NodePorts answer on localhost where they are to, behind a guard that trusts no source") {
  RulesetOptions options;
  options.node.localhost_node_ports = true;
  options.node.node_port_addresses = {ip("127.0.0.1"), ip("192.0.2.1")};
  const std::string chosen = to_text(DesiredElements{options}, Family::kIpv4);
  CHECK(chosen.find("elements = { 127.0.0.1") != std::string::npos);
  CHECK(chosen.find("ip daddr 127.0.0.0/8 iifname != \"lo\" drop comment") != std::string::npos);
  options.node.node_port_addresses.reset();
  const std::string all = to_text(DesiredElements{options}, Family::kIpv4);
  CHECK(all.find("fib daddr type local meta l4proto . th dport @nodeports goto nodeport") != std::string::npos);
  options.node.family = Family::kIpv6;
  options.node.localhost_node_ports = false;
  CHECK(to_text(DesiredElements{options}, Family::kIpv6).find("arrivals") == std::string::npos);
}

}  // namespace kubenatd::rules::nftables
