#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "test/kernel/netlink/live_ruleset.h"
#include "test/kernel/netlink/raw_rules.h"
#include "test/support/linux_release.h"
#include "test/support/netns.h"
#include "test/support/walk_text.h"

/// Rules that nft writes, as netlink::walk reads them.
using namespace kubenatd;
using namespace rules::walk;
using test::elements_of;
using test::load_rules;
using test::read_rules;
using test::walk_text;

namespace {

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
  load_rules(text + "}\n}\n");
  const Ruleset ruleset = read_rules();
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

}  // namespace

TEST_CASE("Every condition of nft is read as what the kernel looks at") {
  if (!test::enter_fresh_namespace()) return;
  // In Linux 5.10 fib does not tell an interface in input.
  check_samples(
      "inet", TableFamily::kInet, "filter hook prerouting priority 0", "set named { type ipv4_addr . inet_service; }",
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
  const Ruleset ruleset = read_rules();
  const WalkTable* table = ruleset.find(TableFamily::kInet, "t");
  CHECK(elements_of(*table->set("__objmap0")) == std::vector<std::string>{"0050 conditional"});
  CHECK(elements_of(*table->set("__objmap1")) == std::vector<std::string>{"0050"});
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
