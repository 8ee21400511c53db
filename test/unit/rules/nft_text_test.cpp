#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "rules/walk/nft/rule_print.h"
#include "rules/walk/nft/ruleset_text.h"

using namespace kubenatd::rules::walk;
using kubenatd::rules::Status;

namespace {

Ruleset must_read(const std::string& text) {
  Ruleset ruleset;
  const Status read = nft::read_ruleset_text(text, ruleset);
  INFO(text);
  if (!read) FAIL(read.error().to_string());
  return ruleset;
}

/// A table with one chain and the rule in it.
std::string table_with(std::string_view rule, std::string_view family = "inet", std::string_view before = "") {
  return fmt::format("table {} t {{\n{}\tchain c {{\n\t\t{}\n\t}}\n}}\n", family, before, rule);
}

const WalkTable& only_table(const Ruleset& ruleset) {
  REQUIRE(ruleset.tables().size() == 1);
  return ruleset.tables().front();
}

const WalkRule& only_rule(const Ruleset& ruleset) {
  const WalkChain* chain = only_table(ruleset).chain("c");
  REQUIRE(chain != nullptr);
  REQUIRE(chain->rules.size() == 1);
  return chain->rules.front();
}

struct Rule {
  const char* text;
  const char* printed;  ///< nullptr: the same
  const char* family = "inet";
};

std::string reprinted(const Rule& rule) {
  const Ruleset ruleset = must_read(table_with(rule.text, rule.family));
  return nft::to_text(only_rule(ruleset).statements, only_table(ruleset));
}

const std::vector<Rule> kConditions{
    {"tcp dport 80 accept", nullptr},
    {"tcp dport != 1-1024", nullptr},
    {"tcp dport { 22, 80, 1000-2000 } drop", nullptr},
    {"tcp dport ssh", "tcp dport 22"},
    {"ip saddr 10.0.0.0/8 ip daddr != 10.0.0.1 return", nullptr},
    {"ip saddr 10.0.0.1-10.0.0.7", nullptr},
    {"ip6 saddr fd00::/10", nullptr},
    {"ip saddr & 255.0.255.0 == 10.0.1.0", nullptr},
    {"ct state { established, related } accept", nullptr},
    {"ct state established,related accept", nullptr},
    {"ct state ! new", nullptr},
    {"ct state == new", nullptr},
    {"ct state 0x8", "ct state new"},
    {"ct status dnat accept", nullptr},
    {"ct original ip daddr 10.0.0.0/8", nullptr},
    {"ct mark & 0x000000ff == 0x00000001", nullptr},
    {"meta mark & 0x00004000 != 0x00000000", nullptr},
    {"meta mark 0x00000001-0x0000000a", nullptr},
    {"mark 5", "meta mark 0x00000005"},
    {"meta l4proto { tcp, udp } th dport 53", nullptr},
    {"meta l4proto 6 tcp dport 80", "tcp dport 80"},
    {"iifname \"pod*\" oifname != \"lo\"", nullptr},
    {"iifname { \"a*\", \"b\" } accept", nullptr},
    {"iif \"eth0\"", "iifname \"eth0\""},
    {"fib daddr type local", nullptr},
    {"fib saddr . mark . iif oif missing drop", nullptr},
    {"tcp flags syn / fin,syn", nullptr},
    {"tcp flags & (fin | syn) == syn", "tcp flags syn / fin,syn"},
    {"icmp type echo-request accept", nullptr},
    {"icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept", nullptr},
    {"ip dscp cs1", nullptr},
    {"ip dscp { cs1, cs2 }", nullptr},
    {"ip frag-off & 8191 != 0", nullptr},
    {"meta length 100-200", nullptr},
    {"meta skuid { 1-5, 9 }", nullptr},
    {"meta pkttype broadcast", nullptr},
    {"numgen random mod 10 offset 5 7", nullptr},
    {"jhash ip saddr mod 4 seed 0x5 1", nullptr},
    {"jhash ip saddr mod 4 seed 7 1", "jhash ip saddr mod 4 seed 0x7 1"},
    {"symhash mod 4 1", nullptr},
    {"tcp option maxseg size 1-500", nullptr},
    {"exthdr frag exists", nullptr},
    {"socket transparent 1", nullptr},
    {"@th,16,16 80", "th dport 80"},
    {"(@nh,8,8 & 252) >> 2 == 8", "@nh,8,8 & 0xfc >> 2 0x08"},
    {"ip saddr . tcp dport { 10.0.0.1 . 80, 10.0.0.0/8 . 1-5 } accept", nullptr},
    {"tcp dport vmap { 80 : accept, 81-90 : jump d, 100 : goto d }", nullptr},
};

const std::vector<Rule> kActions{
    {"meta mark set meta mark | 0x00004000", nullptr},
    {"meta mark set mark | 0x1", "meta mark set meta mark | 0x00000001"},
    {"meta mark set meta mark ^ 0x00004000", nullptr},
    {"meta mark set (meta mark & 0xff) | 0x100", "meta mark set meta mark & 0x000000ff | 0x00000100"},
    {"meta mark set ct mark", nullptr},
    {"ct mark set meta mark & 0x000000ff", nullptr},
    {"meta mark set ip saddr map { 10.0.0.1 : 0x00000001, 10.0.0.2 : 0x00000002 }", nullptr},
    {"ip dscp set cs1", nullptr},
    {"tcp dport set 80", nullptr},
    {"ip ttl set 5", nullptr},
    {"dnat ip to 10.0.0.1:80", nullptr},
    {"dnat ip6 to [fd00::1]:80", nullptr},
    {"dnat to 10.0.0.1-10.0.0.5:80-90 random,persistent", nullptr, "ip"},
    {"dnat ip addr . port to ip daddr . tcp dport map { 1.1.1.1 . 80 : 10.0.0.1 . 81 }",
     "dnat ip to ip daddr . tcp dport map { 1.1.1.1 . 80 : 10.0.0.1 . 81 }"},
    {"dnat ip to numgen random mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }:80", nullptr},
    {"dnat ip to 10.0.0.1:tcp dport map { 80 : 81 }", nullptr},
    {"dnat ip prefix to ip daddr map { 10.0.0.0/24 : 10.1.0.0/24 }", nullptr},
    {"redirect to :8080", nullptr},
    {"masquerade fully-random", nullptr},
    {"snat ip to 10.0.0.1", nullptr},
    {"reject", nullptr},
    {"reject with icmp type host-prohibited", "reject with icmp host-prohibited", "ip"},
    {"reject with icmpx admin-prohibited", nullptr},
    {"meta l4proto tcp reject with tcp reset", nullptr},
    {"notrack", nullptr},
    {"tproxy to 127.0.0.1:8080", nullptr, "ip"},
    {"counter packets 5 bytes 300 log prefix \"a # b { \" flags all drop", "log prefix \"a # b { \" flags all drop"},
    {"limit rate over 10/second burst 7 packets drop", nullptr},
    {"limit rate 1 kbytes/second accept", "limit rate 1024 bytes/second accept"},
    {"ct count over 10 drop", nullptr},
    {"quota over 10 mbytes drop", "quota over 10485760 bytes drop"},
};

}  // namespace

TEST_CASE("nft text: conditions are read as nft compiles them") {
  for (const Rule& rule : kConditions) {
    INFO(rule.text);
    CHECK(reprinted(rule) == (rule.printed != nullptr ? rule.printed : rule.text));
  }
}

TEST_CASE("nft text: what rules do is read as nft compiles it") {
  for (const Rule& rule : kActions) {
    INFO(rule.text);
    CHECK(reprinted(rule) == (rule.printed != nullptr ? rule.printed : rule.text));
  }
}

TEST_CASE("nft text: bytes are in the order in which the kernel has them") {
  const Ruleset ruleset = must_read(table_with("meta mark 5 tcp dport 80 meta mark 1-2"));
  const auto& statements = only_rule(ruleset).statements;
  REQUIRE(statements.size() == 4);
  const auto& mark = std::get<Condition>(statements[0]);
  CHECK(mark.ranges.front().first == Bytes::host(5));
  CHECK(mark.part == Part::kMark);
  const auto& protocol = std::get<Condition>(statements[1]);
  CHECK(std::get<Meta>(protocol.left->what).key == NFT_META_L4PROTO);
  const auto& port = std::get<Condition>(statements[2]);
  CHECK(port.ranges.front().first == Bytes::network(80, 2));
  CHECK(std::get<Payload>(port.left->what) == Payload{Payload::Base::kTransport, 2, 2});
  CHECK(port.part == Part::kDestinationPort);
  const auto& range = std::get<Condition>(statements[3]);
  CHECK(std::get<Swap>(range.left->what).unit == 4);
  CHECK(range.ranges.front() == std::pair(Bytes::network(1, 4), Bytes::network(2, 4)));
}

TEST_CASE("nft text: a table with an owner is read, whatever nft makes of its flags") {
  // As 1.0.6 and 1.1.3 list one that is owned, and 0.9.8, 1.0.6 and 1.1.3 one whose owner is gone.
  for (const char* flags : {"owner", "owner,persist", ",", "", "persist"}) {
    CAPTURE(flags);
    const Ruleset ruleset = must_read(std::string("table ip t { # handle 7 progname kubenatd\n\tflags ") + flags +
                                      "\n\n\tchain a { # handle 1\n\t\taccept\n\t}\n}\n"
                                      "table ip u { # progname kubenatd\n\tflags owner\n\tchain b {\n\t}\n}\n");
    const WalkTable* table = ruleset.find(TableFamily::kIp, "t");
    REQUIRE(table != nullptr);
    CHECK_FALSE(table->dormant);
    CHECK(table->handle == 7);
    CHECK(table->chain("a") != nullptr);
    REQUIRE(ruleset.find(TableFamily::kIp, "u") != nullptr);
    CHECK(ruleset.find(TableFamily::kIp, "u")->chain("b") != nullptr);
  }
}

TEST_CASE("nft text: chains have their hook and priority") {
  const Ruleset ruleset = must_read(
      "table inet t { # handle 7\n"
      "\tflags dormant\n"
      "\tchain a { # handle 1\n\t\ttype filter hook forward priority filter + 10; policy drop;\n\t}\n\n"
      "\tchain b {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n\t}\n\n"
      "\tchain c {\n\t\ttype filter hook output priority -300;\n\t}\n}\n"
      "table netdev n {\n\tchain i {\n\t\ttype filter hook ingress device \"eth0\" priority -500; policy accept;\n\t}\n"
      "\tchain e {\n\t\ttype filter hook egress devices = { \"a\", \"b\" } priority filter; policy accept;\n\t}\n}\n");
  const WalkTable* inet = ruleset.find(TableFamily::kInet, "t");
  REQUIRE(inet != nullptr);
  CHECK(inet->dormant);
  CHECK(inet->handle == 7);
  REQUIRE(inet->chain("a")->base);
  CHECK(inet->chain("a")->base->priority == 10);
  CHECK(inet->chain("a")->base->policy_drop);
  CHECK(inet->chain("a")->base->hook == Hook::kForward);
  CHECK(inet->chain("b")->base->priority == -100);
  CHECK(inet->chain("b")->base->type == Base::Type::kNat);
  CHECK(inet->chain("c")->base->priority == -300);
  const WalkTable* netdev = ruleset.find(TableFamily::kNetdev, "n");
  REQUIRE(netdev != nullptr);
  CHECK(netdev->chain("i")->base->devices == std::vector<std::string>{"eth0"});
  CHECK(netdev->chain("e")->base->devices == std::vector<std::string>{"a", "b"});
}

TEST_CASE("nft text: sets have their elements") {
  const std::string sets =
      "\tset blocks {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\telements = { 10.0.0.0/8,\n"
      "\t\t\t     11.0.0.1-11.0.0.7 comment \"x\" }\n\t}\n\n"
      "\tmap ends {\n\t\ttypeof ip daddr . meta l4proto . th dport : ip daddr . th dport\n"
      "\t\telements = { 1.1.1.1 . tcp . 80 comment \"web\" : 10.0.0.1 . 8080 }\n\t}\n\n"
      "\tmap verdicts {\n\t\ttype inet_service : verdict\n\t\telements = { 80 : accept, 81-90 : jump d, * : drop "
      "}\n\t}\n\n"
      "\tset seen {\n\t\ttype ipv4_addr\n\t\tsize 100\n\t\tflags dynamic,timeout\n\t\ttimeout 1m\n"
      "\t\telements = { 1.1.1.1 timeout 5m expires 4m59s, 2.2.2.2 limit rate 5/second }\n\t}\n\n";
  const Ruleset ruleset = must_read(table_with("accept", "inet", sets));
  const WalkTable& table = only_table(ruleset);
  const WalkSet* blocks = table.set("blocks");
  REQUIRE(blocks != nullptr);
  CHECK(blocks->interval);
  CHECK(blocks->complete);
  REQUIRE(blocks->elements.size() == 2);
  CHECK(nft::to_text(blocks->elements[0], *blocks) == "10.0.0.0/8");
  CHECK(nft::to_text(blocks->elements[1], *blocks) == "11.0.0.1-11.0.0.7 comment \"x\"");
  const WalkSet* ends = table.set("ends");
  REQUIRE(ends != nullptr);
  CHECK(ends->parts == std::vector<std::uint16_t>{4, 1, 2});
  CHECK(ends->data_size == 8);
  REQUIRE(ends->elements.size() == 1);
  CHECK(nft::to_text(ends->elements[0], *ends) == "1.1.1.1 . tcp . 80 comment \"web\" : 10.0.0.1 . 8080");
  const WalkSet* verdicts = table.set("verdicts");
  REQUIRE(verdicts != nullptr);
  CHECK(verdicts->has_verdicts);
  REQUIRE(verdicts->catch_all);
  CHECK(verdicts->catch_all->verdict == ToVerdict{Verdict::kDrop, {}});
  CHECK(verdicts->elements[1].verdict == ToVerdict{Verdict::kJump, "d"});
  const WalkSet* seen = table.set("seen");
  REQUIRE(seen != nullptr);
  CHECK(seen->dynamic);
  REQUIRE(seen->elements.size() == 2);
  CHECK_FALSE(seen->elements[0].conditional);
  CHECK(seen->elements[1].conditional);
}

TEST_CASE("nft text: a set without elements may be one that nft did not print") {
  const std::string empty = "\tset s {\n\t\ttype ipv4_addr\n\t}\n\n";
  const std::string full = "\tset f {\n\t\ttype ipv4_addr\n\t\telements = { 1.1.1.1 }\n\t}\n\n";
  CHECK_FALSE(only_table(must_read(table_with("ip saddr @s drop", "ip", empty))).set("s")->complete);
  CHECK(only_table(must_read(table_with("ip saddr @s drop", "ip", empty + full))).set("s")->complete);
}

TEST_CASE("nft text: an element that cannot be read leaves its set incomplete") {
  const std::string set = "\tset s {\n\t\ttype ipv4_addr\n\t\telements = { 1.1.1.1, nonsense, 2.2.2.2 }\n\t}\n\n";
  const Ruleset ruleset = must_read(table_with("ip saddr @s drop", "ip", set));
  CHECK_FALSE(only_table(ruleset).set("s")->complete);
  CHECK(only_table(ruleset).set("s")->elements.size() == 2);
}

TEST_CASE("nft text: what is not understood cannot be judged and the verdict behind it counts") {
  for (const char* part : {"frobnicate 5", "tcp frob 5", "ip saddr @unknown-set", "meta skuid \"somebody\"",
                           "meta hour \"17:00\"-\"19:00\"", "osf name \"Linux\"", "xt match \"string\"", "# xt_string",
                           "vxlan tcp dport 80", "tcp option mptcp subtype mp-capable"}) {
    INFO(part);
    const Ruleset ruleset = must_read(table_with(std::string(part) + " counter packets 1 bytes 2 drop", "ip"));
    const auto& statements = only_rule(ruleset).statements;
    REQUIRE_FALSE(statements.empty());
    CHECK(
        std::ranges::any_of(statements, [](const Statement& each) { return std::holds_alternative<Unjudged>(each); }));
    REQUIRE(std::holds_alternative<ToVerdict>(statements.back()));
    CHECK(std::get<ToVerdict>(statements.back()).verdict == Verdict::kDrop);
  }
  for (const char* part : {"xt target \"TPROXY\"", "# xt_DNAT", "frobnicate", "ip saddr 1.1.1.1 frobnicate 7"}) {
    INFO(part);
    const Ruleset ruleset = must_read(table_with(part, "ip"));
    CHECK(std::holds_alternative<OtherTarget>(only_rule(ruleset).statements.back()));
  }
}

TEST_CASE("nft text: a rule that nft did not print is one that is not known") {
  const Ruleset ruleset = must_read("table ip t {\n\tchain c {\n\t\t\n\t}\n\tchain d {\n\t\t # handle 5\n\t}\n}\n");
  REQUIRE(only_table(ruleset).chain("c")->rules.size() == 1);
  CHECK(std::holds_alternative<OtherTarget>(only_table(ruleset).chain("c")->rules.front().statements.front()));
  REQUIRE(only_table(ruleset).chain("d")->rules.size() == 1);
  CHECK(only_table(ruleset).chain("d")->rules.front().handle == 5);
}

TEST_CASE("nft text: handles and comments and counters are kept") {
  const Ruleset ruleset =
      must_read(table_with("tcp dport 80 counter packets 3 bytes 180 accept comment \"web; } x\" # handle 12"));
  const WalkRule& rule = only_rule(ruleset);
  CHECK(rule.handle == 12);
  CHECK(rule.comment == "web; } x");
  REQUIRE(rule.counters);
  CHECK(rule.counters->packets == 3);
  CHECK(rule.counters->bytes == 180);
  CHECK(rule.text == "tcp dport 80 accept");
}

TEST_CASE("nft text: what people copy around it is passed over") {
  const std::string table = table_with("tcp dport 80 accept");
  for (const std::string& text :
       {"\xef\xbb\xbf" + table, "```\n" + table + "```\n",
        "root@node:~# nft list ruleset\n" + table + "root@node:~# \n", "$ sudo nft -a list ruleset\n" + table,
        "# Warning: table ip nat is managed by iptables-nft, do not touch!\n" + table,
        "[user@host ~]$ nft list ruleset\r\n" + table}) {
    INFO(text);
    CHECK(nft::looks_like_ruleset(text));
    CHECK(only_rule(must_read(text)).text == "tcp dport 80 accept");
  }
  CHECK_FALSE(nft::looks_like_ruleset("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"));
  CHECK_FALSE(nft::looks_like_ruleset("{\"nftables\": []}"));
}

TEST_CASE("nft text: what is no ruleset is refused by line") {
  const auto refused = [](const std::string& text) {
    Ruleset ruleset;
    const Status read = nft::read_ruleset_text(text, ruleset);
    INFO(text);
    REQUIRE_FALSE(read);
    return read.error().to_string();
  };
  CHECK(refused("").find("no table") != std::string::npos);
  CHECK(refused("table ip t {\n\tchain c {\n\t\taccept\n").find("line") != std::string::npos);
  CHECK(refused("table ip t {\n\tset s {\n\t\telements = { 1.1.1.1\n").find("line 3") != std::string::npos);
  CHECK(refused("add rule ip t c accept\n").find("line 1") != std::string::npos);
  CHECK(refused("table ip t {\n\tfrobnicate\n}\n").find("line 2") != std::string::npos);
  CHECK(refused("table ip t {\n\tchain c {\n\t\ttype filter hook nowhere priority 0;\n\t}\n}\n").find("nowhere") !=
        std::string::npos);
  const std::string table = table_with("accept");
  CHECK(refused(table + table).find("twice") != std::string::npos);
}

TEST_CASE("nft text: any part of a text and any mistake in it ends") {
  std::string text;
  for (const auto& rules : {kConditions, kActions})
    for (const Rule& rule : rules) text += fmt::format("\t\t{}\n", rule.text);
  text =
      "table inet t {\n\tset s {\n\t\ttype ipv4_addr . inet_service\n\t\telements = { 1.1.1.1 . 80 }\n\t}\n\tchain c "
      "{\n" +
      text + "\t}\n}\n";
  must_read(text);
  // Without its last line feed it is whole.
  for (std::size_t end = 0; end + 1 < text.size(); end += 7) {
    Ruleset ruleset;
    CHECK_FALSE(nft::read_ruleset_text(text.substr(0, end), ruleset));
  }
  std::mt19937 random(7);
  static constexpr std::string_view kBytes = "{}()\"#;:.,-/*!=<>&|^@ \n\t0aZ\xff";
  for (int round = 0; round < 400; ++round) {
    std::string changed = text;
    for (int i = 0; i < 20; ++i) changed[random() % changed.size()] = kBytes[random() % kBytes.size()];
    Ruleset ruleset;
    if (nft::read_ruleset_text(changed, ruleset))
      for (const WalkTable& table : ruleset.tables())
        for (const auto& [name, chain] : table.chains)
          for (const WalkRule& rule : chain.rules) CHECK(nft::to_text(rule.statements, table).size() < 100'000);
  }
}

TEST_CASE("nft text: deep and long texts end") {
  const auto repeated = [](std::string_view part, std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += part;
    return text;
  };
  constexpr std::size_t kMany = 20'000;
  for (const std::string& rule :
       {"tcp dport " + repeated("{ ", kMany) + repeated("} ", kMany), repeated("( ", kMany),
        repeated("ct mark . ", kMany), repeated("meta ", kMany), "meta mark set " + repeated("(meta mark & ", kMany),
        repeated("ip saddr 1.1.1.1 ", kMany), "meta mark set meta mark " + repeated("& 0x1 ", kMany),
        "ct state " + repeated("new,", kMany), "dnat to " + repeated("1.1.1.1:tcp ", kMany),
        repeated("tcp dport { 80 } ", kMany), repeated("frob ", kMany), "ip saddr 1-" + repeated("-", kMany)}) {
    Ruleset ruleset;
    if (nft::read_ruleset_text(table_with(rule), ruleset)) CHECK(ruleset.tables().size() == 1);
  }
}
