#include <catch2/catch.hpp>
#include <cstdio>
#include <memory>

#include "netlink/walk/ruleset_reader.h"
#include "rules/walk/nft/ruleset_text.h"
#include "rules/walk/xt/save_text.h"
#include "test/kernel/walk/comparer.h"
#include "test/kernel/walk/foreign_rules.h"
#include "test/support/netns.h"

/// Each match and target alone, live and as text, against real packets.
namespace kubenatd::test {
namespace {

using rules::walk::Ruleset;

/// The program's output; none when it refuses.
std::optional<std::string> try_run(const std::vector<std::string>& arguments, const std::string& input = {}) {
  ProcessOptions options;
  options.input = input;
  const auto result = run(arguments, options);
  if (!result.ok()) return std::nullopt;
  return result.out;
}

Ruleset live_ruleset() {
  auto kernel = netlink::NfTables::open();
  REQUIRE(kernel);
  auto live = netlink::walk::read_ruleset(std::make_shared<netlink::NfTables>(std::move(*kernel)));
  INFO((live ? "" : live.error().to_string()));
  REQUIRE(live);
  return std::move(*live);
}

/// Packets of every kind: in, through and out, TCP and UDP, to ports that rules ask for and others.
std::vector<Packet> packets(bool ipv6, std::uint16_t& next_port) {
  const auto ip = [&](const char* four, const char* six) { return rules::Address::parse(ipv6 ? six : four).value(); };
  const rules::Address outside = ip("198.51.100.9", "2001:db8:9::7");
  const rules::Address node = ip("192.168.77.2", "fd00:77::2");
  const rules::Address pod = ip("10.244.1.5", "fd00:10:244:1::5");
  const rules::Address service = ip("10.96.0.7", "fd00:10:96::7");
  std::vector<Packet> all;
  const auto add = [&](const rules::Address& from, const rules::Address& to, Protocol protocol, std::uint16_t port,
                       const char* in) {
    Packet packet;
    packet.source = from;
    packet.destination = to;
    packet.protocol = protocol;
    packet.destination_port = port;
    packet.source_port = next_port;
    next_port = next_port == 60000 ? 20000 : static_cast<std::uint16_t>(next_port + 1);
    packet.origin = *in == '\0' ? Packet::Origin::kLocal : Packet::Origin::kArriving;
    packet.in_interface = in;
    all.push_back(with_all_fields(packet));
  };
  add(outside, node, Protocol::kTcp, 80, PacketNode::kExternal);
  add(outside, node, Protocol::kUdp, 8081, PacketNode::kExternal);
  add(outside, pod, Protocol::kTcp, 8080, PacketNode::kExternal);
  add(pod, service, Protocol::kUdp, 81, PacketNode::kPods);
  add(node, outside, Protocol::kUdp, 80, "");
  add(node, pod, Protocol::kUdp, 9000, "");
  return all;
}

struct Sources {
  std::string name;
  Ruleset rules;
};

/// Sends packets through the rules that stand now.
void compare_all(PacketNode& node, const std::vector<Sources>& sources, bool ipv6, std::uint16_t& next_port,
                 const std::string& context, bool judged) {
  for (const Packet& packet : packets(ipv6, next_port)) {
    std::vector<rules::walk::Walk> walks;
    for (const Sources& one : sources) walks.push_back(rules::walk::walk(one.rules, packet, node.surroundings()));
    const Fate fate = node.send(packet);
    for (std::size_t i = 0; i < walks.size(); ++i) {
      Tally tally;
      Comparer(node, tally).compare(walks[i], packet, fate, context + " (" + sources[i].name + ")\n");
      std::string said;
      for (const auto& outcome : walks[i].outcomes) said += "\n  " + describe(outcome);
      INFO(context << " (" << sources[i].name << ") " << describe(packet) << said);
      if (judged) CHECK(tally.doubts == 0);
    }
  }
}

bool ready() {
  if (!enter_fresh_namespace()) return false;
  if (const auto missing = tunnels_missing()) {
    std::printf("SKIPPED: %s\n", missing->c_str());
    return false;
  }
  for (const char* program : {"iptables-restore", "ip6tables-restore", "nft"})
    if (!try_run({program, "--version"})) {
      std::printf("SKIPPED: %s is not there\n", program);
      return false;
    }
  return true;
}

/// Whether the sources are walked without a doubt is checked where `judged`.
void compare_xt(PacketNode& node, const std::string& rules, bool ipv6, std::uint16_t& next_port, bool judged,
                unsigned& refused) {
  const std::string prefix = ipv6 ? "ip6tables" : "iptables";
  REQUIRE(try_run({"nft", "flush", "ruleset"}));
  if (!try_run({prefix + "-restore"}, rules)) {
    std::printf("not made here: %s", rules.c_str());
    ++refused;
    return;
  }
  const auto text = try_run({prefix + "-save"});
  REQUIRE(text);
  std::vector<Sources> sources(2);
  sources[0] = {"live", live_ruleset()};
  sources[1].name = "text";
  rules::walk::xt::Remarks remarks;
  const auto read = rules::walk::xt::read_save_text(*text, sources[1].rules, remarks);
  INFO((read ? "" : read.error().to_string()) << *text);
  REQUIRE(read);
  compare_all(node, sources, ipv6, next_port, rules, judged);
}

/// The sentinel, and the answers by which the test hears of a packet, pass.
std::string passing(const std::string& chain, bool ipv6) {
  return "-A " + chain + " -p udp -m udp --dport 7 -j ACCEPT\n-A " + chain + " -p " + (ipv6 ? "ipv6-icmp" : "icmp") +
         " -j ACCEPT\n-A " + chain + " -p tcp -m tcp --tcp-flags RST RST -j ACCEPT\n";
}

}  // namespace

TEST_CASE("each match of iptables alone is judged as the kernel does") {
  if (!ready()) return;
  PacketNode node;
  std::uint16_t next_port = 20000;
  for (const bool ipv6 : {false, true}) {
    unsigned refused = 0;
    const auto parts = xt_matches(ipv6);
    for (const SinglePart& part : parts) {
      std::string rules = "*mangle\n";
      for (const std::string hook : {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}) {
        rules += passing(hook, ipv6);
        // Statistic and the like are drawn once: one hook of each way has the rule.
        const bool has_rule = hook == "INPUT" || hook == "FORWARD" || hook == "OUTPUT";
        const bool drawn = part.text.find("statistic") != std::string::npos;
        if (drawn ? has_rule : hook != "PREROUTING") rules += "-A " + hook + " " + part.text + " -j DROP\n";
      }
      compare_xt(node, rules + "COMMIT\n", ipv6, next_port,
                 part.judged && part.text.find("statistic") == std::string::npos, refused);
    }
    CHECK(refused * 10 < parts.size());
  }
}

TEST_CASE("each target of iptables alone does what the kernel does") {
  if (!ready()) return;
  PacketNode node;
  std::uint16_t next_port = 20000;
  struct Target {
    const char* table;
    const char* chain;
    std::string rule;
    bool ipv4 = true, ipv6 = true;
  };
  const std::vector<Target> targets{
      {"filter", "INPUT", "-j DROP"},
      {"filter", "INPUT", "-p tcp -j ACCEPT"},
      {"filter", "FORWARD", "-j REJECT"},
      {"filter", "FORWARD", "-j REJECT --reject-with icmp-host-prohibited", true, false},
      {"filter", "FORWARD", "-j REJECT --reject-with icmp-net-unreachable", true, false},
      {"filter", "INPUT", "-j REJECT --reject-with icmp6-addr-unreachable", false, true},
      {"filter", "OUTPUT", "-j REJECT"},
      {"filter", "FORWARD", "-j LOG"},
      {"filter", "FORWARD", "-j NFLOG --nflog-group 3"},
      {"filter", "FORWARD", "-j NFQUEUE --queue-num 3"},
      {"filter", "FORWARD", "-j NFQUEUE --queue-num 3 --queue-bypass"},
      {"raw", "PREROUTING", "-j DROP"},
      {"raw", "PREROUTING", "-j CT --notrack"},
      {"raw", "PREROUTING", "-j NOTRACK"},
      {"raw", "OUTPUT", "-j TRACE"},
      {"security", "INPUT", "-j DROP"},
      {"security", "FORWARD", "-p udp -j DROP"},
      {"mangle", "PREROUTING", "-p tcp -j CHECKSUM --checksum-fill"},
      {"mangle", "FORWARD", "-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu"},
      {"mangle", "PREROUTING", "-j TTL --ttl-set 9", true, false},
      {"mangle", "PREROUTING", "-j HL --hl-set 9", false, true},
      {"mangle", "PREROUTING", "-j DSCP --set-dscp 0x0a"},
      {"mangle", "PREROUTING", "-j TOS --set-tos 0x10/0xff"},
      {"mangle", "PREROUTING", "-j MARK --set-mark 5"},
      {"mangle", "PREROUTING", "-j CONNMARK --set-mark 5"},
      {"mangle", "POSTROUTING", "-j CLASSIFY --set-class 1:2"},
      {"nat", "PREROUTING", "-j DNAT --to-destination 10.244.1.9", true, false},
      {"nat", "PREROUTING", "-j DNAT --to-destination 10.244.1.9-10.244.1.12", true, false},
      {"nat", "PREROUTING", "-j DNAT --to-destination 10.244.1.9 --persistent", true, false},
      {"nat", "PREROUTING", "-p tcp -j DNAT --to-destination 10.244.1.9:8080 --random", true, false},
      {"nat", "PREROUTING", "-p udp -j DNAT --to-destination 10.244.1.9:8000-8010", true, false},
      {"nat", "PREROUTING", "-p udp -j DNAT --to-destination :8080", true, false},
      {"nat", "OUTPUT", "-p udp -j DNAT --to-destination 10.244.1.9:8080", true, false},
      {"nat", "OUTPUT", "-p udp -j DNAT --to-destination 192.168.77.2:8080", true, false},
      {"nat", "PREROUTING", "-j DNAT --to-destination fd00:10:244:1::9", false, true},
      {"nat", "PREROUTING", "-p tcp -j DNAT --to-destination [fd00:10:244:1::9]:8080", false, true},
      {"nat", "PREROUTING", "-p tcp -j REDIRECT --to-ports 8081"},
      {"nat", "PREROUTING", "-p udp -j REDIRECT --to-ports 8080-8081"},
      {"nat", "OUTPUT", "-p udp -j REDIRECT --to-ports 8081"},
      {"nat", "PREROUTING", "-j REDIRECT"},
      {"nat", "PREROUTING", "-d 10.96.0.0/16 -j NETMAP --to 10.244.0.0/16", true, false},
      {"nat", "POSTROUTING", "-s 10.244.0.0/16 -j NETMAP --to 198.18.0.0/16", true, false},
      {"nat", "POSTROUTING", "-j SNAT --to-source 198.51.100.77", true, false},
      {"nat", "POSTROUTING", "-p udp -j SNAT --to-source 198.51.100.77:1024-2000", true, false},
      {"nat", "INPUT", "-p tcp -j SNAT --to-source 198.51.100.77", true, false},
      {"nat", "POSTROUTING", "-j SNAT --to-source 2001:db8:9::77", false, true},
      {"nat", "POSTROUTING", "-j MASQUERADE"},
      {"nat", "POSTROUTING", "-j MASQUERADE --random-fully"},
  };
  for (const bool ipv6 : {false, true}) {
    unsigned refused = 0;
    for (const Target& target : targets) {
      if (ipv6 ? !target.ipv6 : !target.ipv4) continue;
      std::string rules = std::string("*") + target.table + "\n" + passing(target.chain, ipv6);
      rules += std::string("-A ") + target.chain + " " + target.rule + "\nCOMMIT\n";
      // Which port a queue's program or a draw gives is nobody's to know beforehand.
      compare_xt(node, rules, ipv6, next_port, target.rule.find("NFQUEUE") == std::string::npos, refused);
    }
    CHECK(refused <= 3);
  }
}

TEST_CASE("each condition of nft alone is judged as the kernel does") {
  if (!ready()) return;
  PacketNode node;
  std::uint16_t next_port = 20000;
  for (const bool ipv6 : {false, true}) {
    for (const char* hook : {"input", "forward", "output"}) {
      for (const SinglePart& part : nft_conditions(ipv6, hook)) {
        const std::string table = std::string("table inet others {\n") + nft_sets(ipv6) +
                                  "  chain base {\n    type filter hook " + hook +
                                  " priority 5; policy accept;\n    udp dport 7 accept\n    meta l4proto { icmp, "
                                  "ipv6-icmp } accept\n    tcp flags & rst == rst accept\n    " +
                                  part.text + " drop\n  }\n}\n";
        REQUIRE(try_run({"nft", "flush", "ruleset"}));
        INFO(table);
        const bool loaded = try_run({"nft", "-f", "-"}, table).has_value();
        if (!loaded && part.may_be_refused) {
          WARN("not tried, the kernel refuses it: " << part.text);
          continue;
        }
        REQUIRE(loaded);
        std::vector<Sources> sources(2);
        sources[0] = {"live", live_ruleset()};
        sources[1].name = "text";
        const auto text = try_run({"nft", "list", "ruleset"});
        REQUIRE(text);
        REQUIRE(rules::walk::nft::read_ruleset_text(*text, sources[1].rules));
        const bool drawn = part.text.find("numgen") != std::string::npos;
        compare_all(node, sources, ipv6, next_port, hook + (" " + part.text), part.judged && !drawn);
      }
    }
  }
}

}  // namespace kubenatd::test
