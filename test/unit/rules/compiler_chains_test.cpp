#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "rules/iptables/names.h"
#include "test/unit/rules/service_port_builder.h"

using namespace kubenatd::rules;
using namespace kubenatd::rules::iptables;
using namespace kubenatd::rules::iptables::test;

namespace {

// demo/web:http, tcp, and its endpoints.
#define HASH "XRY76EGRC3BSCIIJ"
#define ONE "KUBE-SEP-NW5VICAF3Z2QABHQ"
#define TWO "KUBE-SEP-JPICTQTYOLMYNIJ7"

std::string masquerade_rule(std::string_view before, std::string_view between) {
  return std::string(before) + "-d 10.96.10.10/32 " + std::string(between) +
         "-p tcp -m comment --comment \"demo/web:http cluster IP\" -m tcp --dport 80 -j KUBE-MARK-MASQ";
}

const Lines kBalanced = {
    "-m comment --comment \"demo/web:http -> 10.244.1.5:8080\" -m statistic --mode random --probability 0.50000000000 "
    "-j " ONE,
    "-m comment --comment \"demo/web:http -> 10.244.2.7:8080\" -j " TWO};

Lines before_balanced(std::string line) {
  return {std::move(line), kBalanced[0], kBalanced[1]};
}

ServicePortView web_load_balancer() {
  ServicePortView view = web();
  view.load_balancer_ips = {*Address::parse("203.0.113.10")};
  view.source_ranges = {*Prefix::parse("198.51.100.0/24"), *Prefix::parse("192.168.77.0/24")};
  return view;
}

}  // namespace

TEST_CASE("a plain service port has a cluster chain and a chain for each endpoint") {
  CHECK(chain_names(web(), options()) == Lines{"nat " ONE, "nat " TWO, "nat KUBE-SVC-" HASH});
  CHECK(chain_of_kind(web(), options(), "KUBE-SVC-") == before_balanced(masquerade_rule("! -s 10.244.0.0/16 ", "")));
  CHECK(chain_of_kind(web(), options(), ONE) ==
        Lines{"-s 10.244.1.5/32 -m comment --comment \"demo/web:http\" -j KUBE-MARK-MASQ",
              "-p tcp -m comment --comment \"demo/web:http\" -m tcp -j DNAT --to-destination 10.244.1.5:8080"});
}

TEST_CASE("a service port without endpoints has no chains") {
  ServicePortView view = web_without_endpoints();
  view.node_port = 30080;
  view.load_balancer_ips = {*Address::parse("203.0.113.10")};
  view.source_ranges = {*Prefix::parse("198.51.100.0/24")};
  CHECK(chain_names(view, options()).empty());
}

TEST_CASE("cluster traffic from outside the pods is masqueraded, as the detector says") {
  CompileOptions changed = options();
  changed.node.local_detector = DetectByInterface{"cni0", false};
  CHECK(chain_of_kind(web(), changed, "KUBE-SVC-") == before_balanced(masquerade_rule("", "! -i cni0 ")));
  changed.node.local_detector = DetectByInterface{"veth", true};
  CHECK(chain_of_kind(web(), changed, "KUBE-SVC-") == before_balanced(masquerade_rule("", "! -i veth+ ")));
  changed.node.local_detector.reset();
  CHECK(chain_of_kind(web(), changed, "KUBE-SVC-") == kBalanced);
  changed.node.masquerade_all = true;
  CHECK(chain_of_kind(web(), changed, "KUBE-SVC-") == before_balanced(masquerade_rule("", "")));
  changed.node.local_detector = DetectByPrefix{*Prefix::parse("10.244.0.0/16")};
  CHECK(chain_of_kind(web(), changed, "KUBE-SVC-") == before_balanced(masquerade_rule("", "")));
}

TEST_CASE("a detector of all addresses leaves nothing to masquerade") {
  CompileOptions changed = options();
  changed.node.local_detector = DetectByPrefix{*Prefix::parse("0.0.0.0/0")};
  CHECK(chain_of_kind(web(), changed, "KUBE-SVC-") == kBalanced);
  ServicePortView view = web();
  view.node_port = 30080;
  view.external_policy_local = true;
  CHECK(chain_of_kind(view, changed, "KUBE-EXT-")[0] ==
        "-m comment --comment \"pod traffic for demo/web:http external destinations\" -j KUBE-SVC-" HASH);
}

TEST_CASE("internal policy Local balances over the local endpoints") {
  ServicePortView view = web();
  view.internal_policy_local = true;
  for (Endpoint& endpoint : view.endpoints) {
    endpoint.for_cluster = false;
    endpoint.reachable = endpoint.is_local;
  }
  CHECK(chain_names(view, options()) == Lines{"nat " ONE, "nat KUBE-SVL-" HASH});
  CHECK(chain_of_kind(view, options(), "KUBE-SVL-") ==
        Lines{masquerade_rule("! -s 10.244.0.0/16 ", ""),
              "-m comment --comment \"demo/web:http -> 10.244.1.5:8080\" -j " ONE});
}

TEST_CASE("internal policy Local with outside access has both chains, the cluster IP rule in the local one") {
  ServicePortView view = web();
  view.internal_policy_local = true;
  view.node_port = 30080;
  CHECK(chain_of_kind(view, options(), "KUBE-SVC-") == kBalanced);
  CHECK(chain_of_kind(view, options(), "KUBE-SVL-").size() == 2);
  CHECK(chain_of_kind(view, options(), "KUBE-EXT-").back() == "-j KUBE-SVC-" HASH);
}

TEST_CASE("external policy Cluster masquerades everything from outside") {
  ServicePortView view = web();
  view.node_port = 30080;
  CHECK(chain_names(view, options()) == Lines{"nat " ONE, "nat " TWO, "nat KUBE-SVC-" HASH, "nat KUBE-EXT-" HASH});
  CHECK(chain_of_kind(view, options(), "KUBE-EXT-") ==
        Lines{"-m comment --comment \"masquerade traffic for demo/web:http external destinations\" -j KUBE-MARK-MASQ",
              "-j KUBE-SVC-" HASH});
}

TEST_CASE("external policy Local short-circuits pods and the node, and keeps other sources") {
  ServicePortView view = web();
  view.node_port = 30080;
  view.external_policy_local = true;
  const Lines expected = {
      "-s 10.244.0.0/16 -m comment --comment \"pod traffic for demo/web:http external destinations\" -j KUBE-SVC-" HASH,
      "-m comment --comment \"masquerade LOCAL traffic for demo/web:http external destinations\" "
      "-m addrtype --src-type LOCAL -j KUBE-MARK-MASQ",
      "-m comment --comment \"route LOCAL traffic for demo/web:http external destinations\" "
      "-m addrtype --src-type LOCAL -j KUBE-SVC-" HASH,
      "-j KUBE-SVL-" HASH};
  CHECK(chain_of_kind(view, options(), "KUBE-EXT-") == expected);
  CHECK(chain_of_kind(view, options(), "KUBE-SVL-") ==
        Lines{"-m comment --comment \"demo/web:http -> 10.244.1.5:8080\" -j " ONE});
  CHECK(chain_of_kind(view, options(), "KUBE-SVC-").size() == 3);

  SECTION("without a detector no pod is told apart") {
    CompileOptions none = options();
    none.node.local_detector.reset();
    CHECK(chain_of_kind(view, none, "KUBE-EXT-") == Lines{expected[1], expected[2], expected[3]});
  }
  SECTION("a detector by interface matches the interface") {
    CompileOptions changed = options();
    changed.node.local_detector = DetectByInterface{"veth", true};
    CHECK(chain_of_kind(view, changed, "KUBE-EXT-")[0].starts_with("-i veth+ -m comment"));
  }
  SECTION("without local endpoints the last rule is missing") {
    view.endpoints.erase(view.endpoints.begin());
    CHECK(chain_of_kind(view, options(), "KUBE-EXT-") == Lines{expected[0], expected[1], expected[2]});
    CHECK(chain_of_kind(view, options(), "KUBE-SVL-") == Lines{"none"});
  }
}

TEST_CASE("the firewall chain lets allowed sources through") {
  CHECK(chain_of_kind(web_load_balancer(), options(), "KUBE-FW-") ==
        Lines{"-s 198.51.100.0/24 -m comment --comment \"demo/web:http loadbalancer IP\" -j KUBE-EXT-" HASH,
              "-s 192.168.77.0/24 -m comment --comment \"demo/web:http loadbalancer IP\" -j KUBE-EXT-" HASH,
              "-m comment --comment \"other traffic to demo/web:http will be dropped by KUBE-PROXY-FIREWALL\""});
}

TEST_CASE("the firewall chain lets the node through when a range contains it") {
  CompileOptions changed = options();
  changed.node.node_address = *Address::parse("192.168.77.2");
  const Lines lines = chain_of_kind(web_load_balancer(), changed, "KUBE-FW-");
  REQUIRE(lines.size() == 4);
  CHECK(lines[2] == "-s 203.0.113.10/32 -m comment --comment \"demo/web:http loadbalancer IP\" -j KUBE-EXT-" HASH);
  changed.node.node_address = *Address::parse("192.168.78.2");
  CHECK(chain_of_kind(web_load_balancer(), changed, "KUBE-FW-").size() == 3);
}

TEST_CASE("a source range of all addresses has no source match") {
  ServicePortView view = web_load_balancer();
  view.source_ranges = {*Prefix::parse("0.0.0.0/0")};
  const auto compiled = compile(view, options());
  CHECK_FALSE(compiled.chains.back().rules[0].source);
  CHECK(compiled.chains.back().id.name.view() == "KUBE-FW-" HASH);
}

TEST_CASE("source ranges without a load balancer address make no firewall") {
  ServicePortView view = web_load_balancer();
  view.load_balancer_ips.clear();
  view.node_port = 30080;
  CHECK(chain_of_kind(view, options(), "KUBE-FW-") == Lines{"none"});
}

TEST_CASE("affinity remembers the client in the endpoint's chain and asks first") {
  ServicePortView view = web();
  view.affinity_seconds = 10800;
  const std::string recent = " -m recent --rcheck --seconds 10800 --reap --name ";
  const std::string mask = " --mask 255.255.255.255 --rsource";
  CHECK(chain_of_kind(view, options(), "KUBE-SVC-") ==
        Lines{masquerade_rule("! -s 10.244.0.0/16 ", ""),
              "-m comment --comment \"demo/web:http -> 10.244.1.5:8080\"" + recent + ONE + mask + " -j " ONE,
              "-m comment --comment \"demo/web:http -> 10.244.2.7:8080\"" + recent + TWO + mask + " -j " TWO,
              kBalanced[0], kBalanced[1]});
  CHECK(chain_of_kind(view, options(), ONE)[1] ==
        "-p tcp -m comment --comment \"demo/web:http\" -m recent --set --name " ONE + mask +
            " -m tcp -j DNAT --to-destination 10.244.1.5:8080");
}

TEST_CASE("large clusters have no endpoint comments, and keep all others") {
  ServicePortView view = web();
  view.affinity_seconds = 60;
  view.node_port = 30080;
  CompileOptions large = options();
  large.endpoint_comments = false;
  CHECK(chain_of_kind(view, large, "KUBE-SVC-") ==
        Lines{masquerade_rule("! -s 10.244.0.0/16 ", ""),
              "-m recent --rcheck --seconds 60 --reap --name " ONE " --mask 255.255.255.255 --rsource -j " ONE,
              "-m recent --rcheck --seconds 60 --reap --name " TWO " --mask 255.255.255.255 --rsource -j " TWO,
              "-m statistic --mode random --probability 0.50000000000 -j " ONE, "-j " TWO});
  CHECK(chain_of_kind(view, large, ONE) ==
        Lines{"-s 10.244.1.5/32 -j KUBE-MARK-MASQ",
              "-p tcp -m recent --set --name " ONE
              " --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination 10.244.1.5:8080"});
  CHECK(chain_of_kind(view, large, "KUBE-EXT-") == chain_of_kind(view, options(), "KUBE-EXT-"));
}

TEST_CASE("IPv6 endpoints are written with brackets") {
  ServicePortView view = web();
  view.name = "demo/dual:http";
  view.cluster_ip = *Address::parse("fd00:10:96::501");
  view.endpoints = {endpoint("fd00:10:244:1::5", 8080)};
  CompileOptions ipv6;
  ipv6.node.family = Family::kIpv6;
  CHECK(chain_of_kind(view, ipv6, "KUBE-SVC-") ==
        Lines{"-m comment --comment \"demo/dual:http -> [fd00:10:244:1::5]:8080\" -j KUBE-SEP-IGMU5CNLF76G6SMG"});
  CHECK(
      chain_of_kind(view, ipv6, "KUBE-SEP-") ==
      Lines{"-s fd00:10:244:1::5/128 -m comment --comment \"demo/dual:http\" -j KUBE-MARK-MASQ",
            "-p tcp -m comment --comment \"demo/dual:http\" -m tcp -j DNAT --to-destination [fd00:10:244:1::5]:8080"});
}

TEST_CASE("probabilities are those that iptables reads from ten decimals") {
  ServicePortView view = web();
  view.endpoints.clear();
  const std::size_t count = 2100;  // past 2048, where 1/n has a half in the eleventh decimal
  for (std::size_t i = 0; i < count; ++i)
    view.endpoints.push_back(endpoint("10.1.0.1", static_cast<std::uint16_t>(i + 1)));
  const auto compiled = compile(view, CompileOptions{});
  const std::vector<Rule>& rules = compiled.chains.back().rules;
  REQUIRE(rules.size() == count);
  for (std::size_t i = 0; i + 1 < count; ++i) {
    char text[32];
    std::snprintf(text, sizeof text, "%0.10f", 1.0 / static_cast<double>(count - i));
    const auto* statistic = std::get_if<StatisticMatch>(&rules[i].matches.back());
    REQUIRE(statistic != nullptr);
    REQUIRE(statistic->probability == std::lround(std::strtod(text, nullptr) * 0x80000000));
  }
  CHECK(std::holds_alternative<CommentMatch>(rules.back().matches.back()));
}

TEST_CASE("only chains that exist are jumped to, and they come first") {
  // Every combination of what shapes the chains, also such as endpoint choice does not produce.
  const CompileOptions compile_options = options();
  for (unsigned bits = 0; bits < 1U << 9; ++bits) {
    const auto bit = [bits](unsigned index) { return (bits >> index & 1U) != 0; };
    ServicePortView view = web();
    view.internal_policy_local = bit(0);
    view.external_policy_local = bit(1);
    view.has_endpoints = bit(2);
    if (bit(3)) view.node_port = 30080;
    if (bit(4)) view.load_balancer_ips = {*Address::parse("203.0.113.10")};
    if (bit(5)) view.source_ranges = {*Prefix::parse("198.51.100.0/24")};
    view.endpoints[0].for_local = bit(6);
    for (Endpoint& endpoint : view.endpoints) endpoint.for_cluster = bit(7);
    for (Endpoint& endpoint : view.endpoints) endpoint.reachable = bit(8);

    const auto compiled = compile(view, compile_options);
    std::set<std::string_view> made = {"KUBE-MARK-MASQ"};
    const auto check = [&](const Rule& rule) {
      if (const std::string_view to = jump_target(rule); !to.empty()) {
        INFO(bits << ": " << to);
        CHECK(made.contains(to));
      }
    };
    for (const ChainRules& chain : compiled.chains) {
      std::ranges::for_each(chain.rules, check);
      CHECK(made.insert(chain.id.name).second);
      CHECK(is_service_chain(chain.id.table, chain.id.name));
    }
    for (const DispatchRule& rule : compiled.dispatch) check(rule.rule);
  }
}
