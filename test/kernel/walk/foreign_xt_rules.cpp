#include <fmt/format.h>

#include <vector>

#include "test/kernel/walk/foreign_rules.h"
#include "test/kernel/walk/rule_addresses.h"

namespace kubenatd::test {
namespace {

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
  const RuleAddresses at(ipv6);
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
  const RuleAddresses at(words.ipv6);
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
  const RuleAddresses at(ipv6);
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
  const RuleAddresses at(ipv6);
  for (const char* negation : {"", "! "}) {
    all.push_back({negation + ("-s " + at.sources[0])});
    all.push_back({negation + ("-d " + at.destinations[1])});
  }
  return all;
}

}  // namespace kubenatd::test
