#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/explain/nft_json.h"
#include "rules/walk/nft/rule_print.h"
#include "rules/walk/nft/ruleset_text.h"
#include "test/support/linux_release.h"
#include "test/support/netns.h"
#include "test/support/process.h"

/// Rulesets that nft itself wrote down: each of its forms is read to the same statements.
namespace kubenatd::test {
namespace {

using namespace rules::walk;

/// All that explain judges, in tables of each family.
constexpr std::string_view kJudged = R"(
table inet t {
 set blocks { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 11.0.0.1-11.0.0.7 comment "some" } }
 set marks { type mark . ipv4_addr; flags interval; elements = { 1-5 . 10.0.0.0/8 } }
 set plain { typeof meta mark; elements = { 1, 5 } }
 set field { typeof ip dscp . ip saddr; elements = { cs1 . 10.0.0.1 } }
 set one-field { type dscp; elements = { cs1, cs2 } }
 set names { type ifname; flags interval; elements = { "a*", "b" } }
 set seen { type ipv4_addr; size 100; flags dynamic,timeout; timeout 1m; elements = { 1.1.1.1 timeout 5m } }
 map by-source { type ipv4_addr : mark; flags interval; elements = { 10.0.0.0/8 : 5 } }
 map ends { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; elements = { 1.1.1.1 . tcp . 80 comment "web" : 10.0.0.1 . 8080 } }
 map ports { type inet_service : inet_service; elements = { 80 : 8080 } }
 map verdicts { type inet_service : verdict; elements = { 80 : accept, 81 : jump d, * : drop } }
 chain d { }
 chain c {
  type filter hook forward priority filter + 10; policy drop;
  ct state established,related accept
  ct state { established, related } accept
  ct state != { established, related }
  ct state != new drop
  ct state ! new drop
  ct state == new
  ct status dnat accept
  ct status snat,dnat
  ct direction original
  ct original ip saddr 10.0.0.1
  ct original ip daddr 10.0.0.0/8
  ct reply ip6 saddr fd00::1
  meta l4proto tcp ct original proto-dst 80
  ct l3proto ipv4
  ct protocol tcp
  ct mark 0x5
  ct mark and 0xff 1-5
  ct zone 1
  ct label 5
  ct expiration > 5s
  tcp flags & (fin|syn) == syn
  tcp flags & (fin|syn|rst) != syn
  tcp flags syn,ack
  tcp flags == syn
  tcp flags != syn
  tcp flags { syn, ack }
  meta mark & 0x4000 != 0
  meta mark & 0x4000 == 0x4000
  meta mark 1-10
  meta mark != 1-5
  meta mark > 5
  meta mark < 5
  meta mark { 1, 2 }
  meta mark & 0xff { 1-2, 4 }
  meta length > 100
  meta priority 1:2
  meta mark . ip saddr @marks
  meta mark @plain
  ip dscp . ip saddr @field
  ip dscp @one-field
  ip dscp cs1
  ip dscp != cs1
  ip dscp { cs1, cs2 }
  ip6 dscp cs1
  ip6 flowlabel 5
  ip saddr @blocks drop
  ip saddr != @blocks
  ip saddr 10.0.0.0/8 ip daddr 10.0.0.0/25
  ip saddr & 255.0.255.0 == 10.0.1.0
  ip saddr != 10.0.0.1-10.0.0.5
  ip saddr >= 10.0.0.0
  ip6 saddr fd00::/64
  ip6 saddr fd00::/10
  ip6 daddr ::ffff:1.2.3.4
  ip6 daddr { fd00::/64, fd01::1-fd01::5 }
  ip frag-off & 0x1fff != 0
  ip length > 100
  ip ttl 64
  ip version 4
  ip6 hoplimit 64
  meta l4proto { tcp, udp } th dport { 53, 60-70 }
  meta l4proto != tcp
  ip protocol icmp icmp type echo-request
  ip6 nexthdr tcp tcp dport 80
  meta protocol ip
  meta nfproto ipv4
  udp dport != 53
  tcp dport 1-1024
  tcp dport != 1-5
  tcp dport >= 1024
  tcp dport < 1024
  tcp dport { 80, 443 }
  tcp dport != { 1, 2 }
  sctp dport 5
  udplite dport 5
  th dport 5
  ip saddr . tcp dport { 10.0.0.1 . 80, 10.0.0.2 . 81 }
  ip saddr . tcp dport { 10.0.0.0/8 . 1-5, 1.1.1.1 . 7 }
  ip saddr . meta mark { 1.1.1.1 . 1-5, 10.0.0.0/8 . 7 }
  iifname . tcp dport { "lo" . 5 }
  meta l4proto . th dport { tcp . 80, udp . 53 }
  iif lo
  iifname "pod*" oifname != "b*"
  iifname { "a", "b*" }
  iifname @names
  iifgroup 1-5
  meta iiftype ether
  meta iifkind "bridge"
  fib daddr type local
  fib daddr . iif type { local, broadcast }
  fib daddr . iif type vmap { local : accept, blackhole : drop }
  icmp type { echo-request, echo-reply }
  icmpv6 type { nd-neighbor-solicit, nd-router-advert }
  icmp code 1
  meta pkttype broadcast
  meta skuid 1000
  meta skuid { 1-5, 9 }
  meta day Monday
  rt ip nexthop 10.0.0.1
  rt classid 10
  tcp option maxseg size 1-500
  tcp option maxseg exists
  tcp option sack-perm missing
  exthdr frag exists
  frag frag-off 5
  sctp chunk init exists
  ip option ra exists
  meta ipsec exists
  ether saddr 00:11:22:33:44:55
  @nh,8,8 & 0xf0 == 0x10
  @ll,0,8 1
  jhash ip saddr mod 4 0
  jhash ip saddr . tcp sport mod 4 seed 0x5 offset 2 3
  symhash mod 4 1
  numgen random mod 2 0
  numgen inc mod 10 < 5
  numgen inc mod 3 vmap { 0 : accept, 1 : drop, 2 : jump d }
  numgen random mod 10 offset 5 vmap { 5-7 : accept, 8 : drop }
  tcp dport vmap { 80 : accept, 1-5 : drop }
  tcp dport vmap @verdicts
  ip daddr vmap { 10.0.0.0/8 : jump d, 1.1.1.1 : continue, 11.0.0.0/8 : return }
  ip saddr . ip daddr vmap { 1.1.1.1 . 2.2.2.2 : accept }
  meta mark set meta mark | 0x4000
  meta mark set meta mark & 0xff
  meta mark set meta mark ^ 0x4000
  meta mark set (meta mark & 0xff00) | 0x01
  meta mark set meta mark << 5
  meta mark set ct mark
  meta mark set numgen random mod 4 offset 2
  meta mark set ip saddr map { 10.0.0.1 : 0x1, 10.0.0.2 : 0x2 }
  meta mark set ip saddr map @by-source
  meta priority set none
  ct mark set meta mark & 0xff
  ct mark set ct mark | 0x1
  ip dscp set cs1
  ip ttl set 5
  ip6 hoplimit set 5
  tcp dport set 80
  ip daddr set 1.1.1.1
  tcp option maxseg size set rt mtu
  counter
  log prefix "x" flags all
  update @seen { ip saddr }
  delete @seen { ip saddr }
  tcp dport 80 counter accept comment "a # b { } ; x"
  reject with icmpx admin-prohibited
  reject with icmp host-unreachable
  reject with icmpv6 no-route
  meta l4proto tcp reject with tcp reset
  notrack
  jump d
  goto d
 }
 chain n {
  type nat hook prerouting priority dstnat;
  dnat ip to 10.0.0.1
  meta l4proto tcp dnat ip6 to [2001::1]:80
  meta l4proto tcp dnat ip to 10.0.0.1:80
  meta l4proto tcp dnat ip to 10.0.0.1-10.0.0.5:80-90 random,persistent
  meta l4proto tcp dnat ip6 to [fd00::1]-[fd00::5]:80-90
  dnat ip to ip daddr . meta l4proto . tcp dport map @ends
  meta l4proto tcp dnat ip to ip daddr . tcp dport map { 1.1.1.1 . 80 : 10.0.0.1 . 81 }
  dnat ip to numgen random mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }
  meta l4proto tcp dnat ip to numgen inc mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }:80
  meta l4proto tcp dnat ip to 10.0.0.1:tcp dport map { 80 : 81 }
  meta l4proto tcp redirect to :tcp dport map @ports
  tcp dport 5 redirect to :80
  tcp dport 6 redirect to :80-90 random
  redirect
  dnat ip prefix to ip daddr map { 10.0.0.0/24 : 10.1.0.0/24 }
 }
 chain s {
  type nat hook postrouting priority srcnat;
  masquerade fully-random
  meta l4proto tcp masquerade to :1024-2048
  snat ip to 10.0.0.1-10.0.0.7
  snat ip6 to 2001::1
 }
 chain p {
  type filter hook prerouting priority mangle;
  fib saddr . iif oif missing
  fib saddr . mark . iif oif exists
  socket transparent 1
  socket mark 0x5
  meta l4proto tcp tproxy ip to 127.0.0.1:80
  meta l4proto tcp tproxy to :80
 }
}
table ip four {
 chain c {
  type filter hook input priority security;
  ip saddr { 10.0.0.0/8, 11.0.0.1 } accept
  ct original ip saddr 10.0.0.1
  reject
  reject with icmp net-unreachable
 }
 chain r {
  type filter hook prerouting priority raw; policy drop;
  ip protocol tcp tproxy to 127.0.0.1:80 meta mark set 5 accept
 }
 chain n {
  type nat hook prerouting priority dstnat + 5;
  ip daddr 1.1.1.1 tcp dport 80 dnat to 10.0.0.1:8080
  dnat to ip daddr map { 1.1.1.1 : 2.2.2.2 }
 }
}
table ip6 six {
 chain c {
  type route hook output priority mangle;
  ip6 saddr fd00::1 tcp dport 80
  icmpv6 type echo-request
  reject with icmpv6 addr-unreachable
 }
}
table netdev n {
 chain i {
  type filter hook ingress device "lo" priority -500; policy accept;
  ip saddr 10.0.0.1 drop
  udp dport 53 accept
 }
}
table ip asleep { flags dormant; chain c { type filter hook input priority 0; drop
 }
}
)";

/// Of a bug report (F31).
constexpr std::string_view kFirewalld = R"(
table inet firewalld {
	chain filter_FORWARD {
		type filter hook forward priority filter + 10; policy accept;
		ct state { established, related } accept
		iifname "lo" accept
		iifname "pod*" accept
		reject with icmpx admin-prohibited
	}
}
)";

/// What nobody can judge from a text, each of them alone.
constexpr std::string_view kUnjudged = R"(
table ip t {
 chain c {
  limit rate 10/second
  limit rate over 10 mbytes/second
  limit rate 10/minute burst 20 packets
  quota over 10 mbytes
  ct count over 10
  osf name "Linux"
  ipsec in reqid 5
  meta hour "17:00"-"19:00"
  meta time > "2023-01-01 00:00:00"
 }
}
)";

/// kJudged, without what the kernel is too old for.
std::string judged() {
  struct Part {
    int since;  ///< Linux 5.x
    std::string_view text;
  };
  constexpr Part kParts[]{{13, ", * : drop"}, {14, "  sctp chunk init exists\n"}};
  std::string text(kJudged);
  for (const Part& part : kParts)
    if (!linux_is_from(5, part.since)) text.erase(text.find(part.text), part.text.size());
  return text;
}

std::string nft(const std::vector<std::string>& arguments, std::string input = {}) {
  std::vector<std::string> command{"nft"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  ProcessOptions options;
  options.input = std::move(input);
  const ProcessResult result = run(command, options);
  INFO(result.describe());
  REQUIRE(result.ok());
  return result.out;
}

Ruleset read_text(const std::string& text) {
  Ruleset ruleset;
  const rules::Status read = nft::read_ruleset_text(text, ruleset);
  if (!read) FAIL(read.error().to_string() << "\n" << text);
  return ruleset;
}

Ruleset read_json(const std::string& text) {
  Ruleset ruleset;
  const rules::Status read = agent::explain::read_nft_json(text, ruleset);
  if (!read) FAIL(read.error().to_string() << "\n" << text);
  return ruleset;
}

bool same_element(const SetElement& one, const SetElement& other) {
  return one.first == other.first && one.last == other.last && one.data == other.data && one.verdict == other.verdict &&
         one.comment == other.comment && one.conditional == other.conditional;
}

void check_same_sets(const WalkTable& one, const WalkTable& other) {
  REQUIRE(one.sets.size() == other.sets.size());
  for (const auto& [name, set] : one.sets) {
    INFO("set " << name);
    const WalkSet* same_set = other.set(name);
    REQUIRE(same_set != nullptr);
    CHECK(set.complete);
    CHECK(same_set->complete);
    CHECK(set.parts == same_set->parts);
    CHECK(set.data_size == same_set->data_size);
    CHECK(set.interval == same_set->interval);
    CHECK(set.dynamic == same_set->dynamic);
    CHECK(set.type == same_set->type);
    CHECK(std::ranges::equal(set.elements, same_set->elements, same_element));
    CHECK(set.catch_all.has_value() == same_set->catch_all.has_value());
  }
}

/// `as_json`: nft 1.0.6 does not say in JSON that a table is dormant, and of which device a chain is.
void check_same(const Ruleset& one, const Ruleset& other, bool as_json = false) {
  REQUIRE(one.tables().size() == other.tables().size());
  for (const WalkTable& table : one.tables()) {
    INFO("table " << table.name);
    const WalkTable* same_table = other.find(table.family, table.name);
    REQUIRE(same_table != nullptr);
    if (!as_json) CHECK(table.dormant == same_table->dormant);
    check_same_sets(table, *same_table);
    REQUIRE(table.chains.size() == same_table->chains.size());
    for (const auto& [name, chain] : table.chains) {
      INFO("chain " << name);
      const WalkChain* same_chain = same_table->chain(name);
      REQUIRE(same_chain != nullptr);
      REQUIRE(chain.base.has_value() == same_chain->base.has_value());
      if (chain.base) {
        CHECK(chain.base->hook == same_chain->base->hook);
        CHECK(chain.base->type == same_chain->base->type);
        CHECK(chain.base->priority == same_chain->base->priority);
        CHECK(chain.base->policy_drop == same_chain->base->policy_drop);
        if (!as_json) {
          CHECK(chain.base->devices == same_chain->base->devices);
        } else if (!chain.base->devices.empty() && same_chain->base->devices.empty()) {
          CHECK(other.not_looked_at ==
                std::vector<NotLookedAt>{{"chain i of table netdev n", "its device is not said"}});
        }
      }
      REQUIRE(chain.rules.size() == same_chain->rules.size());
      for (std::size_t i = 0; i < chain.rules.size(); ++i) {
        INFO(chain.rules[i].text << "\n" << same_chain->rules[i].text);
        CHECK(chain.rules[i].comment == same_chain->rules[i].comment);
        CHECK(std::ranges::equal(chain.rules[i].statements, same_chain->rules[i].statements,
                                 [](const Statement& left, const Statement& right) { return same(left, right); }));
      }
    }
  }
}

void for_each_rule(const Ruleset& ruleset, const std::function<void(const WalkTable&, const WalkRule&)>& visit) {
  for (const WalkTable& table : ruleset.tables())
    for (const auto& [name, chain] : table.chains)
      for (const WalkRule& rule : chain.rules) visit(table, rule);
}

bool is_unjudged(const Statement& statement) {
  return std::holds_alternative<Unjudged>(statement) || std::holds_alternative<OtherTarget>(statement);
}

}  // namespace

TEST_CASE("nft's own text and JSON: all forms are read to the same statements") {
  if (!enter_fresh_namespace()) return;
  nft({"-f", "-"}, judged() + std::string(kFirewalld));
  const Ruleset plain = read_text(nft({"list", "ruleset"}));
  CHECK(plain.tables().size() == 6);
  for (const char* option : {"-a", "-n", "-nn", "-s", "-y", "-nnas"}) {
    INFO(option);
    check_same(plain, read_text(nft({option, "list", "ruleset"})));
  }
  check_same(plain, read_json(nft({"-j", "list", "ruleset"})), true);
  check_same(plain, read_json(nft({"-j", "-a", "list", "ruleset"})), true);
  for_each_rule(plain, [](const WalkTable& /*table*/, const WalkRule& rule) {
    INFO(rule.text);
    CHECK(std::ranges::none_of(rule.statements, is_unjudged));
  });
}

TEST_CASE("nft's own text: without elements the sets are not complete") {
  if (!enter_fresh_namespace()) return;
  nft({"-f", "-"}, judged());
  const Ruleset terse = read_text(nft({"-t", "list", "ruleset"}));
  const WalkTable* table = terse.find(TableFamily::kInet, "t");
  REQUIRE(table != nullptr);
  for (const char* name : {"blocks", "marks", "ends", "verdicts"}) {
    INFO(name);
    REQUIRE(table->set(name) != nullptr);
    CHECK_FALSE(table->set(name)->complete);
  }
}

TEST_CASE("nft's own text: what is printed makes the same rules") {
  if (!enter_fresh_namespace()) return;
  nft({"-f", "-"}, judged() + std::string(kFirewalld));
  const Ruleset first = read_text(nft({"list", "ruleset"}));
  // A rule that is printed from its statements, and read again by nft, has the same statements.
  const WalkTable* table = first.find(TableFamily::kInet, "t");
  REQUIRE(table != nullptr);
  const WalkChain* chain = table->chain("c");
  REQUIRE(chain != nullptr);
  std::size_t count = 0;
  for (const WalkRule& rule : chain->rules) {
    const std::string printed = nft::to_text(rule.statements, *table);
    // Texts for people alone: what changes nothing that explain looks at.
    if (printed.find("delete @") != std::string::npos ||
        printed.find("tcp option maxseg size set") != std::string::npos || printed.empty())
      continue;
    INFO(printed);
    nft({"flush", "chain", "inet", "t", "c"});
    nft({"-f", "-"}, "add rule inet t c " + printed + "\n");
    const Ruleset again = read_text(nft({"list", "table", "inet", "t"}));
    const WalkTable* table_again = again.find(TableFamily::kInet, "t");
    REQUIRE(table_again->chain("c")->rules.size() == 1);
    CHECK(nft::to_text(table_again->chain("c")->rules.front().statements, *table_again) == printed);
    ++count;
  }
  CHECK(count > 100);
}

TEST_CASE("nft's own text and JSON: what cannot be judged says so") {
  if (!enter_fresh_namespace()) return;
  nft({"-f", "-"}, std::string(kUnjudged));
  for (const Ruleset& ruleset : {read_text(nft({"list", "ruleset"})), read_json(nft({"-j", "list", "ruleset"}))}) {
    std::size_t count = 0;
    for_each_rule(ruleset, [&](const WalkTable& /*table*/, const WalkRule& rule) {
      INFO(rule.text);
      CHECK(std::ranges::any_of(rule.statements, is_unjudged));
      ++count;
    });
    CHECK(count == 9);
  }
}

}  // namespace kubenatd::test
