#include "test/kernel/walk/foreign_rules.h"

#include <fmt/format.h>

#include <vector>

namespace kubenatd::test {
namespace {

using Texts = std::vector<std::string>;

struct Addresses {
  explicit Addresses(bool ipv6)
      : sources(ipv6 ? Texts{"2001:db8:9::/64", "fd00:10:244::/48", "2001:db8:9::7/128", "fd00:77::2/128"}
                     : Texts{"198.51.100.0/24", "10.244.0.0/16", "192.168.77.100/32", "192.168.77.2/32"}),
        destinations(ipv6 ? Texts{"fd00:10:96::/112", "fd00:10:244:1::/64", "fd00:77::2/128", "2001:db8::/48"}
                          : Texts{"10.96.0.0/16", "10.244.1.0/24", "192.168.77.2/32", "203.0.113.0/24"}),
        source_range(ipv6 ? "2001:db8:9::1-2001:db8:9::ff" : "198.51.100.1-198.51.100.200"),
        destination_range(ipv6 ? "fd00:10:244:1::1-fd00:10:244:1::ff" : "10.96.0.1-10.96.0.255"),
        pod(ipv6 ? "fd00:10:244:1::5" : "10.244.1.5"),
        outside(ipv6 ? "2001:db8:9::99" : "198.51.100.99") {}
  Texts sources, destinations;
  std::string source_range, destination_range, pod, outside;
};

/// Matches that explain says it cannot judge.
Texts unjudged_matches() {
  return {
      "-m limit --limit 1000/sec --limit-burst 10000",
      "-m limit --limit 1/hour --limit-burst 1",
      "-m hashlimit --hashlimit-upto 1/hour --hashlimit-burst 1 --hashlimit-mode srcip --hashlimit-name walk",
      "-m connlimit --connlimit-upto 100000",
      "-m u32 --u32 \"0>>28=4\"",
      "-m quota --quota 1",
  };
}

/// Matches without a protocol of their own. `%n` is where "!" may stand.
Texts any_protocol(bool ipv6) {
  const Addresses at(ipv6);
  Texts all{
      "-m conntrack %n --ctstate NEW",
      "-m conntrack %n --ctstate DNAT",
      "-m conntrack %n --ctstate SNAT,DNAT",
      "-m conntrack %n --ctstate RELATED,ESTABLISHED",
      "-m conntrack %n --ctstate INVALID",
      "-m conntrack %n --ctstate UNTRACKED",
      "-m conntrack %n --ctstatus CONFIRMED",
      "-m conntrack %n --ctstatus ASSURED,SEEN_REPLY",
      "-m conntrack %n --ctproto udp",
      "-m conntrack %n --ctorigsrc " + at.sources[0],
      "-m conntrack %n --ctorigdst " + at.destinations[0],
      "-m conntrack --ctdir ORIGINAL",
      "-m conntrack --ctdir REPLY",
      "-m state --state NEW",
      "-m state --state RELATED,ESTABLISHED",
      "-m mark %n --mark 0x4000/0x4000",
      "-m mark %n --mark 0x1",
      "-m connmark %n --mark 0x10/0x10",
      "-m addrtype %n --dst-type LOCAL",
      "-m addrtype %n --src-type LOCAL",
      "-m addrtype %n --dst-type UNICAST",
      "-m addrtype %n --src-type UNICAST",
      "-m addrtype --dst-type MULTICAST",
      "-m iprange %n --src-range " + at.source_range,
      "-m iprange %n --dst-range " + at.destination_range,
      "-m length %n --length 0:44",
      "-m length --length 41:1500",
      ipv6 ? "-m hl --hl-eq 64" : "-m ttl --ttl-eq 64",
      ipv6 ? "-m hl --hl-lt 64" : "-m ttl --ttl-lt 64",
      ipv6 ? "-m hl --hl-gt 60" : "-m ttl --ttl-gt 60",
      "-m dscp %n --dscp 0x00",
      "-m dscp %n --dscp 0x0a",
      "-m tos %n --tos 0x00/0xff",
      "-m pkttype %n --pkt-type unicast",
      "-m pkttype --pkt-type multicast",
      "-m comment --comment \"somebody's -j DROP\"",
      "-m statistic --mode random %n --probability 0.5",
      "-m statistic --mode nth --every 3 --packet 0",
      "-m time --datestart 2020-01-01T00:00:00",
      "-m time --datestop 2020-01-01T00:00:00",
  };
  if (!ipv6) all.emplace_back("%n -f");
  return all;
}

Texts of_protocol() {
  return {
      "-p tcp",
      "-p udp",
      "! -p udp",
      "-p 132",
      "-p tcp -m tcp %n --dport 8080",
      "-p tcp -m tcp %n --dport 80:8080",
      "-p tcp -m tcp %n --sport 1:25000",
      "-p udp -m udp %n --dport 80:82",
      "-p udp -m udp %n --sport 20000:20100",
      "-p tcp -m tcp --syn",
      "-p tcp -m tcp ! --syn",
      "-p tcp -m tcp --tcp-flags SYN,ACK,FIN SYN",
      "-p tcp -m tcp ! --tcp-flags ALL SYN",
      "-p tcp -m tcp --tcp-flags RST RST",
      "-p tcp -m multiport %n --dports 80,81,8080:8090",
      "-p udp -m multiport %n --sports 20000:30000",
      "-p tcp -m multiport %n --ports 80,8080",
      "-p udp -m multiport --dports 80,81,8081",
  };
}

std::string choose(Dice& dice, const Texts& texts) {
  std::string text = dice.of(texts);
  const auto at = text.find("%n");
  if (at != std::string::npos) text.replace(at, 2, dice.one_in(3) ? "!" : "");
  return text;
}

std::string interfaces(Dice& dice, std::string_view hook) {
  std::string text;
  const Texts in{" -i pod+", " ! -i ext0", " -i ext0", " ! -i docker0", " -i lo"};
  const Texts out{" -o pod0", " ! -o pod+", " -o ext0", " ! -o lo"};
  const bool may_in = hook == "PREROUTING" || hook == "INPUT" || hook == "FORWARD";
  const bool may_out = hook == "OUTPUT" || hook == "POSTROUTING" || hook == "FORWARD";
  if (may_in && dice.one_in(5)) text += dice.of(in);
  if (may_out && dice.one_in(5)) text += dice.of(out);
  return text;
}

std::string some_xt_matches(Dice& dice, const Vocabulary& words, std::string_view hook, bool needs_protocol) {
  const Addresses at(words.ipv6);
  std::string text = interfaces(dice, hook);
  if (dice.one_in(3)) text += (dice.one_in(4) ? " ! -s " : " -s ") + dice.of(at.sources);
  if (dice.one_in(3)) text += (dice.one_in(4) ? " ! -d " : " -d ") + dice.of(at.destinations);
  if (needs_protocol)
    text += dice.one_in(2) ? " -p tcp -m tcp --dport 1:60000" : " -p udp";
  else if (dice.one_in(2))
    text += " " + choose(dice, of_protocol());
  for (unsigned i = dice.below(3); i > 0; --i) {
    const std::string match = choose(dice, any_protocol(words.ipv6));
    const bool twice = match.ends_with("-f") && text.ends_with("-f");
    if (!twice) text += " " + match;
  }
  if (words.unjudged && dice.one_in(4)) text += " " + choose(dice, unjudged_matches());
  if ((hook == "OUTPUT" || hook == "POSTROUTING") && dice.one_in(6))
    text += dice.one_in(2) ? " -m owner --uid-owner 0" : " -m owner ! --uid-owner 1000-2000";
  return text;
}

std::string xt_target(Dice& dice, bool ipv6, std::string_view table, std::string_view hook, bool& needs_protocol) {
  const Addresses at(ipv6);
  const auto bracketed = [&](const std::string& address) { return ipv6 ? "[" + address + "]" : address; };
  Texts all{" -j ACCEPT", " -j RETURN", " -j DROP"};
  if (table == "nat") all = {" -j ACCEPT", " -j RETURN"};  // DROP is not allowed there
  if (!hook.empty()) {
    all.emplace_back(" -j OTHERS");
    all.emplace_back(" -g OTHERS");
  }
  if (table == "filter" && hook != "") {
    all.emplace_back(ipv6 ? " -j REJECT --reject-with icmp6-port-unreachable"
                          : " -j REJECT --reject-with icmp-port-unreachable");
    all.emplace_back(ipv6 ? " -j REJECT --reject-with icmp6-adm-prohibited"
                          : " -j REJECT --reject-with icmp-admin-prohibited");
  }
  if (table == "mangle") {
    for (const char* target : {" -j MARK --set-xmark 0x4000/0x4000", " -j MARK --set-xmark 0x1/0xffffffff",
                               " -j MARK --set-xmark 0x0/0x4000", " -j CONNMARK --set-xmark 0x10/0x10",
                               " -j CONNMARK --save-mark", " -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff"})
      all.emplace_back(target);
  }
  if (table == "raw" && dice.one_in(4)) all.emplace_back(" -j CT --notrack");
  if (table == "nat" && (hook == "PREROUTING" || hook == "OUTPUT")) {
    needs_protocol = dice.one_in(2);
    if (needs_protocol) {
      all = {" -j DNAT --to-destination " + bracketed(at.pod) + ":8081",
             " -j DNAT --to-destination " + bracketed(at.pod) + ":8000-8010", " -j REDIRECT --to-ports 8080",
             " -j DNAT --to-destination :8081"};
    } else {
      all.push_back(" -j DNAT --to-destination " + at.pod);
      all.emplace_back(" -j REDIRECT");
    }
  }
  if (table == "nat" && hook == "POSTROUTING") {
    all.emplace_back(" -j MASQUERADE");
    all.push_back(" -j SNAT --to-source " + at.outside);
  }
  all.emplace_back(" -j NFLOG");
  return dice.of(all);
}

struct XtTable {
  const char* name;
  Texts hooks;
};

// nft.

Texts unjudged_conditions() {
  return {"limit rate 1/hour burst 1 packets", "meta cpu 0", "rt classid 5"};
}

Texts conditions_at(bool ipv6, bool inet, std::string_view hook) {
  const std::string ip = ipv6 ? "ip6" : "ip";
  const Addresses at(ipv6);
  Texts all{
      ip + " saddr " + at.sources[0],
      ip + " saddr != " + at.sources[1],
      ip + " daddr " + at.destinations[0],
      ip + " daddr != { " + at.destinations[1] + ", " + at.destinations[2] + " }",
      ip + " saddr @nets",
      ip + " daddr . tcp dport @pairs",
      ip + " daddr . meta l4proto . th dport @triples",
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
  const Addresses at(ipv6);
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

std::string random_xt_rules(Dice& dice, const Vocabulary& words) {
  const bool ipv6 = words.ipv6;
  const std::vector<XtTable> tables{{"raw", {"PREROUTING", "OUTPUT"}},
                                    {"mangle", {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}},
                                    {"nat", {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}},
                                    {"filter", {"INPUT", "FORWARD", "OUTPUT"}},
                                    {"security", {"INPUT", "FORWARD", "OUTPUT"}}};
  std::string text;
  for (const XtTable& table : tables) {
    if (!dice.one_in(2)) continue;
    text += fmt::format("*{}\n", table.name);
    const bool policy = std::string_view(table.name) == "filter" && dice.one_in(3);
    if (policy) text += fmt::format(":{} DROP [0:0]\n", dice.of(table.hooks));
    text += ":OTHERS - [0:0]\n";
    for (const std::string& hook : table.hooks)
      for (unsigned i = dice.below(3); i > 0; --i) {
        bool needs_protocol = false;
        const std::string target = xt_target(dice, ipv6, table.name, hook, needs_protocol);
        text += (dice.one_in(2) ? "-A " : "-I ") + hook + some_xt_matches(dice, words, hook, needs_protocol) + target +
                "\n";
      }
    for (unsigned i = dice.below(4); i > 0; --i) {
      bool needs_protocol = false;
      text += "-A OTHERS" + some_xt_matches(dice, words, "", false) +
              xt_target(dice, ipv6, table.name, "", needs_protocol) + "\n";
    }
    for (const std::string& hook : table.hooks) {
      text += fmt::format("-I {} 1 -p udp -m udp --dport {} -j ACCEPT\n", hook, PacketNode::kSentinelPort);
      text += fmt::format("-I {} 1 -p {} -j ACCEPT\n", hook, ipv6 ? "ipv6-icmp" : "icmp");
      text += fmt::format("-I {} 1 -p tcp -m tcp --tcp-flags RST RST -j ACCEPT\n", hook);
    }
    text += "COMMIT\n";
  }
  return text;
}

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

std::vector<SinglePart> xt_matches(bool ipv6) {
  std::vector<SinglePart> all;
  for (const std::string& text : unjudged_matches()) all.push_back({text, false});
  for (const Texts& some : {any_protocol(ipv6), of_protocol()})
    for (const std::string& text : some) {
      const auto at = text.find("%n");
      for (const char* negation : {"", "!"}) {
        if (at == std::string::npos && *negation != '\0') continue;
        std::string one = text;
        if (at != std::string::npos) one.replace(at, 2, negation);
        all.push_back({one});
      }
    }
  const Addresses at(ipv6);
  for (const char* negation : {"", "! "}) {
    all.push_back({negation + ("-s " + at.sources[0])});
    all.push_back({negation + ("-d " + at.destinations[1])});
  }
  return all;
}

std::vector<SinglePart> nft_conditions(bool ipv6, std::string_view hook) {
  std::vector<SinglePart> all;
  for (const std::string& text : conditions_at(ipv6, true, hook)) all.push_back({text});
  for (const std::string& text : unjudged_conditions()) all.push_back({text, false});
  return all;
}

std::string nft_sets(bool ipv6) {
  const Addresses at(ipv6);
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
