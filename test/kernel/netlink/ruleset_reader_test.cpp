#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "test/kernel/netlink/live_ruleset.h"
#include "test/kernel/netlink/raw_rules.h"
#include "test/support/linux_release.h"
#include "test/support/netns.h"
#include "test/support/walk_text.h"

/// Tables, chains, sets and whole rulesets, as netlink::walk reads them.
using namespace kubenatd;
using namespace rules::walk;
using test::element_text;
using test::elements_of;
using test::load_rules;
using test::read_rules;
using test::walk_text;

namespace {

Bytes bytes(const std::vector<std::uint8_t>& from) {
  return Bytes(std::span(from));
}

Bytes ipv4(std::uint32_t number) {
  return Bytes::network(number, 4);
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("Tables and chains come with hooks, priorities, policies and devices") {
  if (!test::enter_fresh_namespace()) return;
  load_rules(R"(
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
  const Ruleset ruleset = read_rules();
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
  load_rules(R"(
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
  // What rules write into is known, too, when they are read only on demand.
  const std::size_t at_once = GENERATE(std::size_t{0}, netlink::walk::kAllAtOnce);
  const Ruleset ruleset = read_rules(at_once);
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
  load_rules("table ip t {\n chain sub { }\n set plain { type ipv4_addr; elements = { " + plain +
             "}; }\n set intervals { type ipv4_addr; flags interval; elements = { " + intervals +
             " 255.0.0.0/8 }; }\n set ranges { type ipv4_addr . inet_service; flags interval; elements = { " + ranges +
             "}; }\n map verdicts { type ipv4_addr : verdict; flags interval; elements = { " + verdicts +
             (has_stars ? "* : drop" : "") + " }; }\n set small { type ipv4_addr; flags interval; elements = { " +
             small + "}; }\n}\n");
  const Ruleset ruleset = read_rules();
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

  const Ruleset ruleset = read_rules();
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
  load_rules(text + "}\n");
  const Ruleset ruleset = read_rules();
  const WalkTable* table = ruleset.find(TableFamily::kIp, "t");
  REQUIRE(table != nullptr);
  REQUIRE(table->chains.size() == 50);
  for (const auto& [name, chain] : table->chains) {
    REQUIRE(chain.rules.size() == 100);
    for (std::uint32_t rule = 0; rule < 100; ++rule)
      CHECK(walk_text(chain.rules[rule].statements) == "meta 3 in " + walk_text(Bytes::host(rule)));
  }
}

namespace {

/// All of a chain.
std::string text_of(const WalkChain& chain) {
  std::string text = fmt::format("{} base {} unread {}\n", chain.name, chain.base.has_value(), chain.unread);
  for (const WalkRule& rule : chain.rules) {
    text += fmt::format("{} {} {}", rule.handle, rule.text, rule.model.has_value());
    for (const Statement& statement : rule.statements) text += "; " + walk_text(statement);
    text += "\n";
  }
  return text;
}

}  // namespace

TEST_CASE("Chains that are read when they are asked for are those that are read at once") {
  if (!test::enter_fresh_namespace()) return;
  constexpr int kChains = 900;
  std::string text = "*nat\n";
  for (int i = 0; i < kChains; ++i) text += fmt::format(":KUBE-SEP-{} - [0:0]\n", i);
  text += ":EMPTY - [0:0]\n:UNUSED - [0:0]\n-A PREROUTING -p tcp -j KUBE-SEP-7\n-A PREROUTING -p udp -j EMPTY\n";
  for (int i = 0; i < kChains; ++i)
    for (int rule = 0; rule < 5; ++rule)
      text += fmt::format("-A KUBE-SEP-{0} -p tcp -m tcp --dport {1} -j DNAT --to-destination 10.0.0.1:{1}\n", i,
                          rule + 1000);
  test::must_run({"iptables-restore"}, text + "COMMIT\n");
  load_rules("table ip small {\n chain c { type filter hook input priority 5; jump d; }\n chain d { accept; }\n}");
  const Ruleset whole = read_rules();
  const Ruleset parts = read_rules(kManyRules);

  REQUIRE(parts.find(TableFamily::kIp, "small")->chains.size() == 2);
  CHECK(parts.find(TableFamily::kIp, "small")->on_demand == nullptr);
  const WalkTable* all = whole.find(TableFamily::kIp, "nat");
  const WalkTable* some = parts.find(TableFamily::kIp, "nat");
  REQUIRE((all != nullptr && some != nullptr));
  CHECK(all->on_demand == nullptr);
  REQUIRE(some->on_demand != nullptr);
  CHECK(all->chains.size() >= kChains + 3);
  CHECK(some->chains.contains("PREROUTING"));
  CHECK(some->chains.size() <= 4);  // what hooks lead to
  for (const auto& [name, chain] : all->chains) {
    const WalkChain* found = some->chain(name);
    REQUIRE(found != nullptr);
    REQUIRE(text_of(*found) == text_of(chain));
    REQUIRE(some->chain(name) == found);
  }
  CHECK(some->chain("KUBE-SEP-") == nullptr);
  CHECK(some->chain("KUBE-SEP-900") == nullptr);
  CHECK(some->chain("") == nullptr);
  CHECK(some->has_rules());
  for (const WalkTable* table : {all, some}) {
    CHECK(table->has_chain_like("KUBE-SEP-"));
    CHECK(table->has_chain_like("PRE"));
    CHECK(table->has_chain_like("UNUSED"));
    CHECK_FALSE(table->has_chain_like("KUBE-SVC-"));
    CHECK_FALSE(table->has_chain_like("UNUSED-"));
    CHECK_FALSE(table->has_chain_like("ZZZ"));
  }

  // Others change something: what is asked for from now on is of another time than the rest.
  CHECK(parts.is_current());
  test::must_run({"iptables", "-t", "nat", "-A", "EMPTY", "-j", "ACCEPT"});
  CHECK_FALSE(parts.is_current());
  CHECK_FALSE(whole.is_current());
}

TEST_CASE("A chain that is gone when it is asked for has no rules, and the rest is not current") {
  if (!test::enter_fresh_namespace()) return;
  load_rules("table ip t {\n chain a { accept; }\n chain b { accept; }\n}");
  const Ruleset ruleset = read_rules(0);
  const WalkTable* table = ruleset.find(TableFamily::kIp, "t");
  REQUIRE(table->chain("a") != nullptr);
  CHECK(table->chain("a")->rules.size() == 1);
  test::must_run({"nft", "flush", "chain", "ip", "t", "b"});
  test::must_run({"nft", "delete", "chain", "ip", "t", "b"});
  REQUIRE(table->chain("b") != nullptr);
  CHECK(table->chain("b")->rules.empty());
  CHECK_FALSE(ruleset.is_current());
}
