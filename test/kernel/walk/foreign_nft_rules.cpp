#include <fmt/format.h>

#include <vector>

#include "test/kernel/walk/foreign_rules.h"
#include "test/kernel/walk/rule_addresses.h"

namespace kubenatd::test {
namespace {

Texts unjudged_conditions() {
  return {"limit rate 1/hour burst 1 packets", "meta cpu 0", "rt classid 5"};
}

Texts conditions_at(bool ipv6, bool inet, std::string_view hook) {
  const std::string ip = ipv6 ? "ip6" : "ip";
  const RuleAddresses at(ipv6);
  Texts all{
      ip + " saddr " + at.sources[0],
      ip + " saddr != " + at.sources[1],
      ip + " daddr " + at.destinations[0],
      ip + " daddr != { " + at.destinations[1] + ", " + at.destinations[2] + " }",
      ip + " saddr @nets",
      ip + " daddr . tcp dport @pairs",
      ip + " daddr . ct protocol . th dport @triples",
      ip + " saddr " + at.source_range,
      "tcp dport 80",
      "tcp dport != { 80, 443, 8080-8090 }",
      "udp dport 80-82",
      "th dport { 80, 81 }",
      "th sport 20000-30000",
      "tcp flags syn",
      "tcp flags & (syn | ack) == syn",
      "meta l4proto tcp",
      "meta l4proto { tcp, udp }",
      "meta mark 0x1",
      "meta mark & 0x4000 == 0x4000",
      "meta mark and 0x4000 != 0x4000",
      "ct state new",
      "ct state established,related",
      "ct state != invalid",
      "ct state { new, untracked }",
      "ct status dnat",
      "ct status & snat != 0",
      "ct mark & 0x10 == 0x10",
      "ct direction original",
      "ct original " + ip + " daddr " + at.destinations[0],
      "meta l4proto tcp ct original proto-dst 80",
      "meta length 0-60",
      "meta length > 44",
      ipv6 ? "ip6 hoplimit 64" : "ip ttl 64",
      ipv6 ? "ip6 dscp cs0" : "ip dscp cs0",
      "numgen random mod 2 == 0",
      "numgen random mod 10 < 3",
      "meta pkttype host",
  };
  if (!inet) all.push_back("meta protocol " + ip);
  if (inet) all.push_back(std::string("meta nfproto ") + (ipv6 ? "ipv6" : "ipv4"));
  if (hook != "output") all.emplace_back("fib daddr type local");
  all.emplace_back("fib saddr type local");
  if (hook == "prerouting" || hook == "input" || hook == "forward")
    for (const char* text : {"iifname \"pod*\"", "iifname != \"ext0\"", "iif lo", "iifname { \"ext0\", \"eth9\" }"})
      all.emplace_back(text);
  if (hook == "output" || hook == "postrouting" || hook == "forward")
    for (const char* text : {"oifname \"pod0\"", "oifname != \"lo\""}) all.emplace_back(text);
  return all;
}

std::string nft_action(Dice& dice, bool ipv6, bool inet, std::string_view hook, std::string_view type) {
  const RuleAddresses at(ipv6);
  const std::string ip = ipv6 ? "ip6" : "ip";
  const std::string family = inet ? ip + " " : "";
  const auto bracketed = [&](const std::string& address) { return ipv6 ? "[" + address + "]" : address; };
  if (type == "nat" && dice.one_in(2)) {
    if (hook == "prerouting" || hook == "output")
      return dice.of(Texts{
          "dnat " + family + "to " + at.pod, "meta l4proto tcp dnat " + family + "to " + bracketed(at.pod) + ":8081",
          "meta l4proto udp redirect to :8080", "redirect",
          "dnat " + family + "to numgen random mod 2 map { 0 : " + at.pod + ", 1 : " + at.outside + " }"});
    if (hook == "postrouting" && dice.one_in(2)) return "masquerade";
    return "snat " + family + "to " + at.outside;
  }
  Texts all{"accept",
            "drop",
            "jump others",
            "goto others",
            "counter",
            "return",
            "meta mark set 0x1",
            "meta mark set meta mark | 0x4000",
            "ct mark set 0x10",
            "counter accept",
            "meta l4proto vmap { tcp : jump others, udp : accept }",
            "th dport vmap @ports",
            "log level debug flags all counter"};
  if (type == "nat") all.erase(all.begin() + 1);
  if (hook == "input" || hook == "forward" || hook == "output") {
    all.emplace_back("reject");
    all.emplace_back(inet   ? "reject with icmpx admin-prohibited"
                     : ipv6 ? "reject with icmpv6 admin-prohibited"
                            : "reject with icmp admin-prohibited");
  }
  return dice.of(all);
}

/// nft refuses a rule that asks for two protocols.
bool asks_for_protocol(const std::string& text) {
  for (const char* word : {"tcp ", "udp ", "th ", "l4proto", "redirect to"})
    if (text.find(word) != std::string::npos) return true;
  return false;
}

std::string nft_rule(Dice& dice, const Vocabulary& words, bool inet, std::string_view hook, std::string_view type) {
  const bool ipv6 = words.ipv6;
  std::string text;
  const auto add = [&](const std::string& part) {
    if (!asks_for_protocol(part) || !asks_for_protocol(text)) text += part + " ";
  };
  for (unsigned i = 1 + dice.below(2); i > 0; --i) add(dice.of(conditions_at(ipv6, inet, hook)));
  if (words.unjudged && dice.one_in(6)) add(dice.of(unjudged_conditions()));
  const std::string action = nft_action(dice, ipv6, inet, hook, type);
  const bool fits = !asks_for_protocol(action) || !asks_for_protocol(text);
  return text + (fits ? action : "counter");
}

}  // namespace

std::string random_nft_tables(Dice& dice, const Vocabulary& words) {
  const bool ipv6 = words.ipv6;
  std::string text;
  for (unsigned number = 1 + dice.below(2); number > 0; --number) {
    const bool inet = dice.one_in(2);
    text += fmt::format("table {} others{} {{\n", inet ? "inet" : ipv6 ? "ip6" : "ip", number);
    text += nft_sets(ipv6);
    text +=
        "  map ports { type inet_service : verdict; elements = { 80 : accept, 81 : jump others, 8081 : return }; }\n";
    text += "  chain others {\n";
    for (unsigned i = dice.below(3); i > 0; --i) {
      std::string rule = nft_rule(dice, words, inet, "", "filter");
      if (rule.find("others") != std::string::npos || rule.find("@ports") != std::string::npos)
        rule = "counter";  // no loop
      text += "    " + rule + "\n";
    }
    text += "  }\n";
    const Texts hooks{"prerouting", "input", "forward", "output", "postrouting"};
    for (unsigned i = 1 + dice.below(3); i > 0; --i) {
      const std::string hook = dice.of(hooks);
      const bool nat = hook != "forward" && dice.one_in(4);
      const Texts priorities{"-310", "-190", "-120", "-90", "-5", "0", "10", "45", "90", "110", "200"};
      const Texts nat_priorities{"-190", "-110", "-100", "-90", "0", "100", "120"};  // none before conntrack
      const bool drops = !nat && dice.one_in(8);
      text +=
          fmt::format("  chain {}{} {{\n    type {} hook {} priority {}; policy {};\n", hook, i, nat ? "nat" : "filter",
                      hook, dice.of(nat ? nat_priorities : priorities), drops ? "drop" : "accept");
      text += fmt::format("    udp dport {} accept\n    meta l4proto {} accept\n    tcp flags & rst == rst accept\n",
                          PacketNode::kSentinelPort, ipv6 ? "ipv6-icmp" : "icmp");
      for (unsigned rules = dice.below(4); rules > 0; --rules)
        text += "    " + nft_rule(dice, words, inet, hook, nat ? "nat" : "filter") + "\n";
      text += "  }\n";
    }
    text += "}\n";
  }
  return text;
}

std::vector<SinglePart> nft_conditions(bool ipv6, std::string_view hook) {
  std::vector<SinglePart> all;
  for (const std::string& text : conditions_at(ipv6, true, hook)) all.push_back({text});
  for (const std::string& text : unjudged_conditions()) all.push_back({text, false});
  // nft 1.0.6 has the order of its byte changed there, which Linux 6.12.117 refuses of a single one; 6.18 takes it.
  all.push_back({fmt::format("{} daddr . meta l4proto . th dport @triples", ipv6 ? "ip6" : "ip"), true, true});
  return all;
}

std::string nft_sets(bool ipv6) {
  const RuleAddresses at(ipv6);
  const std::string address = ipv6 ? "ipv6_addr" : "ipv4_addr";
  return fmt::format("  set nets {{ type {}; flags interval; elements = {{ {}, {} }}; }}\n", address, at.sources[0],
                     at.sources[3]) +
         fmt::format("  set pairs {{ type {} . inet_service; elements = {{ {} . 80, {} . 8080 }}; }}\n", address,
                     at.pod, ipv6 ? "fd00:77::2" : "192.168.77.2") +
         fmt::format(
             "  set triples {{ type {} . inet_proto . inet_service; flags interval; elements = {{ {} . tcp . 80-90, {} "
             ". "
             "udp . 0-65535 }}; }}\n",
             address, at.destinations[0], at.destinations[1]);
}

}  // namespace kubenatd::test
