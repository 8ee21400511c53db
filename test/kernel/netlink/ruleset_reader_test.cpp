#include "netlink/walk/ruleset_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "netlink/core/nf_tables.h"
#include "test/kernel/netlink/raw_rules.h"
#include "test/support/linux_release.h"
#include "test/support/netns.h"
#include "test/support/walk_text.h"

using namespace kubenatd;
using namespace rules::walk;
using test::walk_text;

namespace {

void load(const std::string& text) {
  test::must_run({"nft", "-f", "-"}, text);
}

Ruleset read() {
  auto opened = netlink::NfTables::open();
  REQUIRE(opened);
  auto ruleset = netlink::walk::read_ruleset(std::make_shared<netlink::NfTables>(std::move(*opened)));
  if (!ruleset) FAIL(ruleset.error().to_string());
  return std::move(*ruleset);
}

Bytes bytes(const std::vector<std::uint8_t>& from) {
  return Bytes(std::span(from));
}

Bytes ipv4(std::uint32_t number) {
  return Bytes::network(number, 4);
}

/// A rule as nft reads it, and what it becomes.
struct Sample {
  std::string rule;
  std::string statements;
  int since = 0;  ///< Linux 5.x that has it; 0: all
};

/// Loads the rules into a chain of a table of `family`, and compares what is read.
void check_samples(const std::string& family, TableFamily read_as, const std::string& hook, const std::string& objects,
                   std::vector<Sample> samples) {
  std::erase_if(samples, [](const Sample& sample) { return !test::linux_is_from(5, sample.since); });
  std::string text = fmt::format("table {} t {{\n{}\nchain other {{ }}\nchain c {{ type {};\n", family, objects, hook);
  for (const Sample& sample : samples) text += sample.rule + "\n";
  load(text + "}\n}\n");
  const Ruleset ruleset = read();
  const WalkTable* table = ruleset.find(read_as, "t");
  REQUIRE(table != nullptr);
  const WalkChain* chain = table->chain("c");
  REQUIRE(chain != nullptr);
  CHECK_FALSE(chain->unread);
  REQUIRE(chain->rules.size() == samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    INFO(samples[i].rule);
    std::string statements = walk_text(chain->rules[i].statements);
    CHECK(statements == samples[i].statements);
    CHECK(chain->rules[i].handle != 0);
  }
}

std::string element_text(const SetElement& element) {
  std::string text = walk_text(element.first);
  if (element.last != element.first) text += "-" + walk_text(element.last);
  if (element.data.size != 0) text += " : " + walk_text(element.data);
  if (element.verdict) text += " : " + walk_text(Statement(*element.verdict));
  if (!element.comment.empty()) text += " \"" + element.comment + "\"";
  if (element.conditional) text += " conditional";
  return text;
}

std::vector<std::string> elements_of(const WalkSet& set) {
  std::vector<std::string> texts;
  for (const SetElement& element : set.elements) texts.push_back(element_text(element));
  if (set.catch_all) texts.push_back("*" + element_text(*set.catch_all));
  std::ranges::sort(texts);
  return texts;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("Every condition of nft is read as what the kernel looks at") {
  if (!test::enter_fresh_namespace()) return;
  check_samples(
      "inet", TableFamily::kInet, "filter hook input priority 0", "set named { type ipv4_addr . inet_service; }",
      {
          {"ip saddr 10.0.0.0/8", "meta 15 in 02; network[12+1] in 0a"},
          {"ip saddr 10.128.0.0/9", "meta 15 in 02; (network[12+4] & ff800000 ^ 00000000) in 0a800000"},
          {"ip daddr != 10.0.0.1", "meta 15 in 02; network[16+4] not in 0a000001"},
          {"ip saddr 10.0.0.1 ip daddr 10.0.0.2",
           "meta 15 in 02; network[12+4] in 0a000001; network[16+4] in 0a000002"},
          {"ip6 daddr fd00::1", "meta 15 in 0a; network[24+16] in fd000000000000000000000000000001"},
          {"ip protocol tcp", "meta 15 in 02; network[9+1] in 06"},
          {"ip ttl < 5", "meta 15 in 02; network[8+1] in 00-04"},
          {"ip dscp af11", "meta 15 in 02; (network[1+1] & fc ^ 00) in 28"},
          {"ip length 10-20", "meta 15 in 02; network[2+2] in 000a-0014"},
          {"ip frag-off & 0x1fff != 0", "meta 15 in 02; (network[6+2] & 1fff ^ 0000) not in 0000"},
          {"ip6 hoplimit > 5", "meta 15 in 0a; network[7+1] in 06-ff"},
          {"ip6 nexthdr tcp", "meta 15 in 0a; network[6+1] in 06"},
          {"meta l4proto tcp", "meta 16 in 06"},
          {"meta nfproto ipv6", "meta 15 in 0a"},
          {"tcp dport 80", "meta 16 in 06; transport[2+2] in 0050"},
          {"tcp sport 1 tcp dport 2", "meta 16 in 06; transport[0+2] in 0001; transport[2+2] in 0002"},
          {"tcp dport 80-90", "meta 16 in 06; transport[2+2] in 0050-005a"},
          {"tcp dport != 80-90", "meta 16 in 06; transport[2+2] not in 0050-005a"},
          {"tcp dport >= 80", "meta 16 in 06; transport[2+2] in 0050-ffff"},
          {"tcp dport { 80, 90-99 }", "meta 16 in 06; transport[2+2] in @__set0"},
          {"tcp dport != { 80, 443 }", "meta 16 in 06; transport[2+2] not in @__set1"},
          {"th dport 53", "transport[2+2] in 0035"},
          {"@th,16,16 53", "transport[2+2] in 0035"},
          {"tcp flags & (syn | ack) == syn", "meta 16 in 06; (transport[13+1] & 12 ^ 00) in 02"},
          {"tcp flags syn", "meta 16 in 06; (transport[13+1] & 02 ^ 00) not in 00"},
          {"icmp type echo-request", "meta 15 in 02; meta 16 in 01; transport[0+1] in 08"},
          {"sctp chunk init exists", "exthdr 3.1[0+1] there in 01", 14},
          {"tcp option maxseg size 10-20", "exthdr 1.2[2+2] in 000a-0014"},
          {"tcp option sack-permitted exists", "exthdr 1.4[0+1] there in 01"},
          {"exthdr frag exists", "meta 15 in 0a; exthdr 0.44[0+1] there in 01"},
          {"ip option rr exists", "meta 15 in 02; exthdr 2.7[0+1] there in 01"},
          {"iifname \"eth*\"", "meta 6[0+3] in 657468"},
          {"oifname != \"lo\"", "meta 7 not in 6c6f0000000000000000000000000000"},
          {"iif lo", "meta 4 in 01000000"},
          {"iifgroup 5", "meta 21 in 05000000"},
          {"iiftype loopback", "meta 8 in 0403"},
          {"meta mark 0x10", "meta 3 in 10000000"},
          {"meta mark & 0xff != 0x10", "(meta 3 & ff000000 ^ 00000000) not in 10000000"},
          {"meta mark > 5", "swap4(meta 3) in 00000006-ffffffff"},
          {"meta skuid 0", "meta 10 in 00000000"},
          {"meta skgid 1-5", "swap4(meta 11) in 00000001-00000005"},
          {"meta pkttype broadcast", "meta 19 in 01"},
          {"meta length > 100", "swap4(meta 0) in 00000065-ffffffff"},
          {"meta cgroup 5", "meta 23 in 05000000"},
          {"meta priority 1:2", "meta 2 in 02000100"},
          {"meta day \"Monday\"", "meta 31 in 01"},
          {"ether saddr 00:11:22:33:44:55", "meta 8 in 0100; link[6+6] in 001122334455"},
          {"ct state new", "(ct 0 & 08000000 ^ 00000000) not in 00000000"},
          {"ct state established,related", "(ct 0 & 06000000 ^ 00000000) not in 00000000"},
          {"ct state vmap { new : drop, invalid : jump other }", "ct 0 vmap @__map0"},
          {"ct status dnat", "(ct 2 & 20000000 ^ 00000000) not in 00000000"},
          {"ct direction reply", "ct 1 in 01"},
          {"ct mark 7", "ct 3 in 07000000"},
          {"ct original ip daddr 10.0.0.1", "ct 20 original in 0a000001"},
          {"ct reply ip6 saddr fd00::1", "ct 21 reply in fd000000000000000000000000000001"},
          {"meta l4proto tcp ct original proto-dst 80", "meta 16 in 06; ct 12 original in 0050"},
          {"ct zone 3", "ct 17 in 0300"},
          {"ct bytes > 1000", "swap8(ct 15) in 00000000000003e9-ffffffffffffffff"},
          {"fib daddr type local", "fib 3/2 in 02000000"},
          {"fib saddr . iif type { local, broadcast }", "fib 3/9 in @__set2"},
          {"fib saddr . iif oif 0", "fib 1/9 in 00000000"},
          {"fib daddr . mark oifname \"lo\"", "fib 2/6 in 6c6f0000000000000000000000000000"},
          {"socket transparent 1", "socket 0.0 in 01"},
          {"socket mark 5", "socket 1.0 in 05000000"},
          {"rt ip nexthop 10.0.0.1", "rt 1 in 0a000001"},
          {"rt ipsec exists", "rt 4 in 01"},
          {"ip saddr . tcp dport @named", "meta 15 in 02; meta 16 in 06; {network[12+4] . transport[2+2]} in @named"},
          {"ip saddr . tcp dport vmap { 1.1.1.1 . 80 : drop }",
           "meta 15 in 02; meta 16 in 06; {network[12+4] . transport[2+2]} vmap @__map1"},
          {"meta nfproto . meta l4proto { ipv4 . tcp, ipv6 . udp }", "{meta 15 . meta 16} in @__set3"},
          {"numgen random mod 2 0", "random() mod 2 offset 0 in 00000000"},
          {"numgen inc mod 10 < 5", "swap4(inc() mod 10 offset 0) in 00000000-00000004"},
          {"numgen random mod 10 vmap { 0-3 : drop, 4-9 : accept }", "swap4(random() mod 10 offset 0) vmap @__map2"},
          {"jhash ip saddr . tcp dport mod 2 vmap { 0 : drop, 1 : accept }",
           "meta 15 in 02; meta 16 in 06; hash({network[12+4] . transport[2+2]}) mod 2 offset 0 vmap @__map3"},
          {"symhash mod 2 offset 5 6", "hash() mod 2 offset 5 in 06000000"},
          {"accept", "accept"},
          {"goto other", "goto other"},
          {"return", "return"},
          {"counter packets 3 bytes 4 drop", "drop"},
      });
}

TEST_CASE("Everything that nft does with a packet is read, and what cannot be judged says so") {
  if (!test::enter_fresh_namespace()) return;
  check_samples(
      "inet", TableFamily::kInet, "filter hook prerouting priority 0",
      "set dyn { type ipv4_addr; flags dynamic,timeout; timeout 1m; }\n"
      "counter c1 { }\nquota q1 { over 10 mbytes }\nlimit l1 { rate 10/second }\n"
      "ct helper h1 { type \"ftp\" protocol tcp; }",
      {
          {"meta mark set 5", "meta 3 = 05000000"},
          {"meta mark set meta mark | 0x10", "meta 3 = (meta 3 & efffffff ^ 10000000)"},
          {"meta mark set ct mark", "meta 3 = ct 3"},
          {"ct mark set meta mark and 0xff", "ct 3 = (meta 3 & ff000000 ^ 00000000)"},
          {"meta mark set tcp dport map { 80 : 1, 81 : 2 }", "meta 16 in 06; meta 3 = @__map0(transport[2+2]):4"},
          {"meta priority set 1:1", "meta 2 = 01000100"},
          {"meta nftrace set 1", "meta 12 = 01"},
          {"ip daddr set 10.0.0.1", "meta 15 in 02; network[16+4] = 0a000001"},
          {"ip ttl set 5", "meta 15 in 02; network[8+2] = (network[8+2] & 00ff ^ 0500)"},
          {"tcp flags syn tcp option maxseg size set 1400",
           "meta 16 in 06; (transport[13+1] & 02 ^ 00) not in 00; nothing<tcp option set>"},
          {"notrack", "notrack"},
          {"meta l4proto tcp tproxy ip to 127.0.0.1:80 accept",
           "meta 16 in 06; meta 15 in 02; tproxy 7f000001 0050; accept"},
          {"meta l4proto tcp tproxy to :8080 accept", "meta 16 in 06; tproxy - 1f90; accept"},
          {"log prefix \"x: \" level warn accept", "nothing<log prefix \"x: \">; accept"},
          {"log group 3", "nothing<log group 3>"},
          {"limit rate 10/second accept", "unjudged<limit rate 10/second>; accept"},
          {"limit rate over 1 mbytes/second drop", "unjudged<limit rate over 1 mbytes/second>; drop"},
          {"ct count over 10 drop", "unjudged<ct count over 10>; drop"},
          {"quota until 10 mbytes accept", "unjudged<quota 10 mbytes>; accept"},
          {"counter name \"c1\"", "nothing<counter name \"c1\">"},
          {"quota name \"q1\" drop", "unjudged<quota name \"q1\">; drop"},
          {"limit name \"l1\" accept", "unjudged<limit name \"l1\">; accept"},
          {"limit name tcp dport map { 80 : \"l1\" } accept", "meta 16 in 06; transport[2+2] in @__objmap0; accept"},
          {"counter name tcp dport map { 80 : \"c1\" }", "meta 16 in 06; transport[2+2] in @__objmap1"},
          {"ct helper set \"h1\"", "nothing<ct helper set \"h1\">"},
          {"add @dyn { ip saddr } accept", "meta 15 in 02; update @dyn network[12+4]; accept"},
          {"update @dyn { ip saddr limit rate 10/second } accept",
           "meta 15 in 02; update @dyn network[12+4] if <limit rate 10/second>; accept"},
          {"delete @dyn { ip saddr }", "meta 15 in 02; nothing<delete @dyn>"},
          {"osf name \"Linux\" accept", "unread<osf:16> in 4c696e75780000000000000000000000; accept"},
          {"ipsec in reqid 1 accept", "unread<ipsec:4> in 01000000; accept"},
      });
  const Ruleset ruleset = read();
  const WalkTable* table = ruleset.find(TableFamily::kInet, "t");
  CHECK(elements_of(*table->set("__objmap0")) == Texts{"0050 conditional"});
  CHECK(elements_of(*table->set("__objmap1")) == Texts{"0050"});
}

TEST_CASE("Refusals and SYN proxies of nft are read") {
  if (!test::enter_fresh_namespace()) return;
  check_samples("inet", TableFamily::kInet, "filter hook input priority 0", "synproxy sp { mss 1460; wscale 7; }",
                {
                    {"reject", "refuse icmpx-port-unreachable"},
                    {"reject with tcp reset", "meta 16 in 06; refuse tcp-reset"},
                    {"reject with icmp type host-unreachable", "meta 15 in 02; refuse icmp-host-unreachable"},
                    {"reject with icmpv6 type no-route", "meta 15 in 0a; refuse icmp6-no-route"},
                    {"reject with icmpx type admin-prohibited", "refuse icmpx-admin-prohibited"},
                    {"synproxy mss 1460 wscale 7", "meta 16 in 06; stolen"},
                    {"synproxy name \"sp\"", "meta 16 in 06; stolen"},
                });
}

TEST_CASE("Every translation of nft is read") {
  if (!test::enter_fresh_namespace()) return;
  check_samples(
      "inet", TableFamily::kInet, "nat hook prerouting priority -100",
      "map to { type inet_service : ipv4_addr . inet_service; }",
      {
          {"dnat ip to 10.0.0.1", "meta 15 in 02; dnat 0a000001"},
          {"dnat ip6 to fd00::1", "meta 15 in 0a; dnat fd000000000000000000000000000001"},
          {"meta l4proto tcp dnat ip to 10.0.0.1:80", "meta 16 in 06; meta 15 in 02; dnat 0a000001 port 0050"},
          {"meta l4proto tcp dnat to :80", "meta 16 in 06; dnat port 0050"},
          {"ip protocol tcp dnat ip to 10.0.0.1-10.0.0.5:80-90 random,persistent",
           "meta 15 in 02; network[9+1] in 06; dnat 0a000001-0a000005 port 0050-005a random persistent"},
          {"ip protocol tcp dnat ip to numgen random mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }",
           "meta 15 in 02; network[9+1] in 06; dnat @__map0(random() mod 2 offset 0):4"},
          {"meta nfproto ipv4 dnat ip addr . port to tcp dport map @to",
           "meta 15 in 02; meta 16 in 06; dnat @to(transport[2+2]):8[0+4] port @to(transport[2+2]):8[4+2]"},
          {"dnat ip prefix to ip daddr map { 10.0.0.0/24 : 192.168.0.0/24 }",
           "meta 15 in 02; dnat @__map1(network[16+4]):8[0+4]-@__map1(network[16+4]):8[4+4] netmap"},
          {"redirect", "redirect"},
          {"ip protocol tcp redirect to :8000-8010", "meta 15 in 02; network[9+1] in 06; redirect port 1f40-1f4a"},
      });
  test::must_run({"nft", "flush", "ruleset"});
  check_samples("inet", TableFamily::kInet, "nat hook postrouting priority 100", "",
                {
                    {"masquerade", "masquerade"},
                    {"masquerade fully-random", "masquerade random"},
                    {"ip protocol udp masquerade to :1000-2000 persistent",
                     "meta 15 in 02; network[9+1] in 11; masquerade port 03e8-07d0 persistent"},
                    {"snat ip to 1.2.3.4", "meta 15 in 02; snat 01020304"},
                    {"snat ip6 to fd00::1-fd00::9",
                     "meta 15 in 0a; snat fd000000000000000000000000000001-fd000000000000000000000000000009"},
                });
  test::must_run({"nft", "flush", "ruleset"});
  check_samples("netdev", TableFamily::kNetdev, "filter hook ingress device lo priority 0", "",
                {
                    {"ip saddr 10.0.0.1 drop", "meta 1 in 0800; network[12+4] in 0a000001; drop"},
                    {"ip saddr 10.0.0.1 ip daddr 10.0.0.2 drop",
                     "meta 1 in 0800; network[12+4] in 0a000001; network[16+4] in 0a000002; drop"},
                    {"dup to lo", "nothing<dup>"},
                    {"fwd to lo", "stolen"},
                });
}

TEST_CASE("Tables and chains come with hooks, priorities, policies and devices") {
  if (!test::enter_fresh_namespace()) return;
  load(R"(
table ip one {
  chain pre { type nat hook prerouting priority -100; }
  chain out { type route hook output priority -150; policy drop; }
  chain plain { accept comment "said so"; }
}
table ip6 one {
  chain in { type filter hook input priority 300; policy drop; }
}
table inet two {
  chain fwd_chain { type filter hook forward priority 5; drop; }
  chain ing { type filter hook ingress device lo priority 7; }
}
table netdev three {
  chain ing { type filter hook ingress devices = { lo } priority -1; policy drop; }
}
table bridge four {
  chain b { type filter hook forward priority 0; accept; }
}
table bridge five {
  chain b { type filter hook forward priority 0; }
}
table arp six {
  chain a { type filter hook input priority 0; drop; }
}
table ip asleep {
  flags dormant
  chain a { type filter hook input priority 0; drop; }
}
)");
  const Ruleset ruleset = read();
  std::set<std::string> names;
  for (const WalkTable& table : ruleset.tables())
    names.insert(fmt::format("{} {}", static_cast<int>(table.family), table.name));
  const auto name = [](TableFamily family, const char* table) {
    return fmt::format("{} {}", static_cast<int>(family), table);
  };
  CHECK(names == std::set<std::string>{name(TableFamily::kIp, "one"), name(TableFamily::kIp6, "one"),
                                       name(TableFamily::kInet, "two"), name(TableFamily::kNetdev, "three"),
                                       name(TableFamily::kIp, "asleep")});
  CHECK(ruleset.not_looked_at == std::vector<NotLookedAt>{{"table bridge four", "rules of bridges are not walked"}});
  CHECK(ruleset.find(TableFamily::kIp, "asleep")->dormant);
  CHECK_FALSE(ruleset.find(TableFamily::kIp, "one")->dormant);
  CHECK(ruleset.find(TableFamily::kIp, "one")->handle < ruleset.find(TableFamily::kInet, "two")->handle);

  const auto base = [&](TableFamily family, const char* table, const char* chain) -> const Base& {
    const auto& found = ruleset.find(family, table)->chain(chain)->base;
    REQUIRE(found);
    return *found;
  };
  const Base& pre = base(TableFamily::kIp, "one", "pre");
  CHECK((pre.hook == Hook::kPrerouting && pre.type == Base::Type::kNat && pre.priority == -100 && !pre.policy_drop));
  const Base& out = base(TableFamily::kIp, "one", "out");
  CHECK((out.hook == Hook::kOutput && out.type == Base::Type::kRoute && out.priority == -150 && out.policy_drop));
  const Base& in = base(TableFamily::kIp6, "one", "in");
  CHECK((in.hook == Hook::kInput && in.type == Base::Type::kFilter && in.priority == 300 && in.policy_drop));
  const Base& forward = base(TableFamily::kInet, "two", "fwd_chain");
  CHECK((forward.hook == Hook::kForward && forward.priority == 5 && !forward.policy_drop));
  const Base& ingress = base(TableFamily::kInet, "two", "ing");
  CHECK((ingress.hook == Hook::kIngress && ingress.devices == std::vector<std::string>{"lo"}));
  const Base& device = base(TableFamily::kNetdev, "three", "ing");
  CHECK((device.hook == Hook::kIngress && device.policy_drop && device.priority == -1));
  CHECK(device.devices == std::vector<std::string>{"lo"});
  const WalkChain* plain = ruleset.find(TableFamily::kIp, "one")->chain("plain");
  CHECK_FALSE(plain->base);
  REQUIRE(plain->rules.size() == 1);
  CHECK(plain->rules[0].comment == "said so");
}

TEST_CASE("Sets and maps come as they were given") {
  if (!test::enter_fresh_namespace()) return;
  // Linux before 5.13 has no element "*".
  const bool has_stars = test::linux_is_from(5, 13);
  const std::string star = has_stars ? ", *" : "";
  load(R"(
table inet t {
  set plain { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 comment "two" }; }
  set nets { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.168.0.1-192.168.0.9, 255.255.255.0/24 }; }
  set everything { type ipv4_addr; flags interval; elements = { 0.0.0.0/0 }; }
  set touching { type inet_service; flags interval; elements = { 0-10, 11-20, 30 }; }
  set parts { type ipv4_addr . inet_proto . inet_service; elements = { 10.0.0.1 . tcp . 80 }; }
  set ranges { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/8 . 1-100, 1.1.1.1 . 53 }; }
  map verdicts { type inet_service : verdict; elements = { 80 : jump sub, 81 : drop)" +
       (has_stars ? star + " : accept" : "") + R"( }; }
  map ranged { type ipv4_addr : ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/24 : 1.2.3.4 . 80 }; }
  set dyn { type ipv4_addr; flags dynamic,timeout; timeout 1m; elements = { 1.1.1.1 }; }
  set limited { type ipv4_addr; limit rate 1/second; elements = { 9.9.9.9 limit rate 1/second }; }
  set counted { type ipv4_addr; counter; elements = { 9.9.9.9 counter packets 1 bytes 1 }; }
  set starred { type ipv4_addr; elements = { 1.1.1.1)" +
       star + R"( }; }
  set written { type ipv4_addr; flags timeout; elements = { 1.1.1.1 timeout 1h }; }
  chain sub { add @written { ip saddr }; tcp dport { 1, 2 }; }
}
)");
  const Ruleset ruleset = read();
  const WalkTable* table = ruleset.find(TableFamily::kInet, "t");
  REQUIRE(table != nullptr);
  const auto set = [&](const char* name) -> const WalkSet& {
    const WalkSet* found = table->set(name);
    REQUIRE(found != nullptr);
    return *found;
  };
  CHECK(elements_of(set("plain")) == Texts{"0a000001", "0a000002 \"two\""});
  CHECK(set("plain").type == "ipv4_addr");
  CHECK(elements_of(set("nets")) == Texts{"0a000000-0affffff", "c0a80001-c0a80009", "ffffff00-ffffffff"});
  CHECK(set("nets").interval);
  CHECK(elements_of(set("everything")) == Texts{"00000000-ffffffff"});
  CHECK(elements_of(set("touching")) == Texts{"0000-000a", "000b-0014", "001e"});
  CHECK(elements_of(set("parts")) == Texts{"0a0000010600000000500000"});
  CHECK(set("parts").parts == std::vector<std::uint16_t>{4, 1, 2});
  CHECK(set("parts").type == "ipv4_addr . inet_proto . inet_service");
  CHECK(elements_of(set("ranges")) == Texts{"0101010100350000", "0a00000000010000-0affffff00640000"});
  Texts verdicts{"* : accept", "0050 : jump sub", "0051 : drop"};
  if (!has_stars) verdicts.erase(verdicts.begin());
  CHECK(elements_of(set("verdicts")) == verdicts);
  CHECK((set("verdicts").is_map && set("verdicts").has_verdicts && set("verdicts").data_size == 0));
  CHECK(elements_of(set("ranged")) == Texts{"0a000000-0a0000ff : 0102030400500000"});
  CHECK((set("ranged").is_map && !set("ranged").has_verdicts && set("ranged").data_size == 8));
  CHECK(set("ranged").data_type == "ipv4_addr . inet_service");
  CHECK(elements_of(set("limited")) == Texts{"09090909 conditional"});
  CHECK(elements_of(set("counted")) == Texts{"09090909"});
  CHECK(elements_of(set("starred")) == (has_stars ? Texts{"*", "01010101"} : Texts{"01010101"}));
  CHECK(elements_of(set("__set0")) == Texts{"0001", "0002"});
  CHECK((set("__set0").anonymous && set("__set0").complete && !set("plain").anonymous && set("plain").complete));
  // Who is in them may be another one with the next packet; a rule writes into the second.
  CHECK((set("dyn").dynamic && !set("dyn").complete && set("dyn").elements.empty()));
  CHECK((set("written").dynamic && !set("written").complete && set("written").elements.empty()));
  CHECK(ruleset.look_up(*table, set("dyn"), ipv4(0x01010101)).answer == Found::Answer::kThere);
  CHECK(ruleset.look_up(*table, set("dyn"), ipv4(0x01010102)).answer == Found::Answer::kAbsent);
}

TEST_CASE("Of large sets single keys are asked for") {
  if (!test::enter_fresh_namespace()) return;
  const bool has_stars = test::linux_is_from(5, 13);
  const auto address = [](unsigned number) {
    return fmt::format("10.{}.{}.{}", number >> 16U & 255U, number >> 8U & 255U, number & 255U);
  };
  std::string plain, intervals, ranges, verdicts, small;
  for (unsigned i = 16; i < 1016; ++i) {
    const std::string range = address(i * 16) + "-" + address(i * 16 + 7);
    plain += address(i) + ", ";
    intervals += range + ", ";
    ranges += range + " . 100-200, ";
    verdicts += range + " : jump sub, ";
    if (i < 16 + 512) small += range + ", ";
  }
  load("table ip t {\n chain sub { }\n set plain { type ipv4_addr; elements = { " + plain +
       "}; }\n set intervals { type ipv4_addr; flags interval; elements = { " + intervals +
       " 255.0.0.0/8 }; }\n set ranges { type ipv4_addr . inet_service; flags interval; elements = { " + ranges +
       "}; }\n map verdicts { type ipv4_addr : verdict; flags interval; elements = { " + verdicts +
       (has_stars ? "* : drop" : "") + " }; }\n set small { type ipv4_addr; flags interval; elements = { " + small +
       "}; }\n}\n");
  const Ruleset ruleset = read();
  const WalkTable* table = ruleset.find(TableFamily::kIp, "t");
  REQUIRE(table != nullptr);
  for (const char* name : {"plain", "intervals", "ranges", "verdicts"}) {
    CHECK_FALSE(table->set(name)->complete);
    CHECK(table->set(name)->elements.empty());
    CHECK_FALSE(table->set(name)->dynamic);
  }
  CHECK(table->set("small")->complete);
  CHECK(table->set("small")->elements.size() == 512);

  const auto ask = [&](const char* set, const Bytes& key) -> std::string {
    const Found found = ruleset.look_up(*table, *table->set(set), key);
    switch (found.answer) {
      case Found::Answer::kThere: return element_text(found.element);
      case Found::Answer::kAbsent: return "absent";
      case Found::Answer::kUnknown: break;
    }
    return "unknown";
  };
  CHECK(ask("plain", ipv4(0x0a000010)) == "0a000010");
  CHECK(ask("plain", ipv4(0x0a00000f)) == "absent");
  CHECK(ask("plain", ipv4(0xffffffff)) == "absent");
  // In the middle of a range, at both of its ends, behind it, in front of the first, in the last without an end.
  CHECK(ask("intervals", ipv4(0x0a000105)) == "0a000100-0a000107");
  CHECK(ask("intervals", ipv4(0x0a000100)) == "0a000100-0a000107");
  CHECK(ask("intervals", ipv4(0x0a000107)) == "0a000100-0a000107");
  CHECK(ask("intervals", ipv4(0x0a000108)) == "absent");
  CHECK(ask("intervals", ipv4(0x00000001)) == "absent");
  CHECK(ask("intervals", ipv4(0xff000001)) == "ff000000-ffffffff");
  CHECK(ask("intervals", ipv4(0xff000000)) == "ff000000-ffffffff");
  CHECK(ask("intervals", ipv4(0xffffffff)) == "ff000000-ffffffff");
  CHECK(ask("intervals", ipv4(0xfeffffff)) == "absent");
  CHECK(ask("ranges", bytes({10, 0, 1, 5, 0, 150, 0, 0})) == "0a00010000640000-0a00010700c80000");
  CHECK(ask("ranges", bytes({10, 0, 1, 5, 0, 201, 0, 0})) == "absent");
  CHECK(ask("ranges", bytes({10, 0, 1, 8, 0, 150, 0, 0})) == "absent");
  CHECK(ask("ranges", bytes({0, 0, 0, 1, 0, 1, 0, 0})) == "absent");
  CHECK(ask("verdicts", ipv4(0x0a000101)) == "0a000100-0a000107 : jump sub");
  CHECK(ask("verdicts", ipv4(0x01010101)) == "absent");
  REQUIRE(table->set("verdicts")->catch_all.has_value() == has_stars);
  if (has_stars) CHECK(element_text(*table->set("verdicts")->catch_all) == " : drop");
  // What is no key of that set.
  CHECK(ask("plain", bytes({1, 2, 3, 4, 5, 6, 7, 8})) == "unknown");
  test::must_run({"nft", "delete", "table", "ip", "t"});
  CHECK(ask("plain", ipv4(0x0a000010)) == "absent");
}

TEST_CASE("Rules of iptables have the text that iptables prints") {
  if (!test::enter_fresh_namespace()) return;
  const std::vector<std::string> rules{
      "-s 1.2.3.4/32 ! -i eth+ -p tcp -m tcp --tcp-flags FIN,SYN SYN -j DROP",
      "-s 10.0.0.0/255.0.255.0 -f -j RETURN",
      "! -s 10.0.0.0/8 ! -f -j RETURN",
      "-p tcp -m tcp --dport 80:90 -j ACCEPT",
      "-p tcp -m tcp --sport 1 --dport 2 -j ACCEPT",
      "-p udp -m udp ! --sport 80:90 -j ACCEPT",
      "-p udp -m udp ! --sport 80 -j ACCEPT",
      "-p tcp -m tcp --dport 0:100 -j ACCEPT",
      "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j DROP",
      "! -p tcp -g OTHER",
      "-p 77 -j ACCEPT",
      "-p icmp -j ACCEPT",
      "-m mark --mark 0x1/0xff -j ACCEPT",
      "-m mark ! --mark 0x1 -j ACCEPT",
      "-m limit --limit 3/min --limit-burst 7 -j DROP",
      "-m limit --limit 3/hour -j DROP",
      "-i lo -j NFLOG --nflog-prefix hi --nflog-group 3",
      "-i lo -j NFLOG --nflog-prefix \"two words\"",
      "-d 10.0.0.1/32 -m comment --comment \"a b\" -j OTHER",
      "-p tcp",
  };
  std::string text = "*filter\n:INPUT DROP [0:0]\n:OTHER - [0:0]\n";
  for (const std::string& rule : rules) text += "-A OTHER " + rule + "\n";
  std::string looping = text;  // a chain that jumps to itself is refused
  for (std::size_t at = 0; (at = looping.find("-A OTHER", at)) != std::string::npos;)
    looping.replace(at, 8, "-A INPUT");
  test::must_run({test::tool(rules::Family::kIpv4, "-restore")}, looping + "COMMIT\n");

  const Ruleset ruleset = read();
  const WalkTable* table = ruleset.find(TableFamily::kIp, "filter");
  REQUIRE(table != nullptr);
  const WalkChain* input = table->chain("INPUT");
  REQUIRE((input != nullptr && input->base));
  CHECK((input->base->hook == Hook::kInput && input->base->policy_drop && input->base->priority == 0));
  REQUIRE(input->rules.size() == rules.size());
  for (std::size_t i = 0; i < rules.size(); ++i) CHECK(input->rules[i].text == rules[i]);
  CHECK(input->rules[18].comment == "a b");
  CHECK(input->rules[18].model);
  CHECK(input->rules[18].counters);
}

TEST_CASE("A table of thousands of rules is read chain by chain") {
  if (!test::enter_fresh_namespace()) return;
  std::string text = "table ip t {\n";
  for (int chain = 0; chain < 50; ++chain) {
    text += fmt::format(" chain c{} {{\n", chain);
    for (int rule = 0; rule < 100; ++rule) text += fmt::format("  meta mark {}\n", rule);
    text += " }\n";
  }
  load(text + "}\n");
  const Ruleset ruleset = read();
  const WalkTable* table = ruleset.find(TableFamily::kIp, "t");
  REQUIRE(table != nullptr);
  REQUIRE(table->chains.size() == 50);
  for (const auto& [name, chain] : table->chains) {
    REQUIRE(chain.rules.size() == 100);
    for (std::uint32_t rule = 0; rule < 100; ++rule)
      CHECK(walk_text(chain.rules[rule].statements) == "meta 3 in " + walk_text(Bytes::host(rule)));
  }
}
