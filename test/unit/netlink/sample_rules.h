#pragma once

#include <string>
#include <vector>

#include "rules/rule.h"

/// Rules of every kind of the model with the text of iptables-save 1.8.9 for them.
namespace kubenatd::test {

struct SampleRule {
  rules::Table table = rules::Table::kNat;
  rules::Rule rule;
  std::string text;  ///< without "-A CHAIN "
};

/// Name of the chain that samples jump to; it must exist.
inline constexpr const char* kSampleTarget = "KUBE-SVC-XPGD46QRK7WJZT7O";
/// Counter that a sample counts with; it must exist.
inline constexpr const char* kSampleCounter = "ct_state_invalid_dropped_pkts";

inline rules::AddressMatch address_match(const std::string& prefix, bool negate = false) {
  return {*rules::Prefix::parse(prefix), negate};
}

/// Samples with different content in every field, for the family.
inline std::vector<SampleRule> sample_rules(rules::Family family) {
  using namespace rules;
  const bool four = family == Family::kIpv4;
  const std::string host = four ? "10.96.0.10/32" : "fd00:96::10/128";
  const std::string bytes = four ? "10.0.0.0/8" : "fd00::/8";
  const std::string many_bytes = four ? "192.168.77.0/24" : "fd00:1:2:3::/64";
  const std::string bits = four ? "10.96.0.0/12" : "fd00:96:8000::/33";
  const std::string more_bits = four ? "203.0.113.128/31" : "fd00::abc0/122";
  const std::string jump = std::string(" -j ") + kSampleTarget;
  const std::string mask = four ? "255.255.255.255" : "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
  std::vector<SampleRule> samples;
  const auto add = [&](Table table, const std::string& text, auto&& fill) {
    SampleRule sample{table, {}, text};
    fill(sample.rule);
    samples.push_back(std::move(sample));
  };
  const auto jumps = [&](Table table, const std::string& text, auto&& fill) {
    add(table, text.empty() ? jump.substr(1) : text + jump, [&](Rule& rule) {
      rule.target = Jump{kSampleTarget, false};
      fill(rule);
    });
  };

  jumps(Table::kNat, "", [](Rule&) {});
  jumps(Table::kNat, "-s " + host, [&](Rule& rule) { rule.source = address_match(host); });
  jumps(Table::kNat, "-d " + host, [&](Rule& rule) { rule.destination = address_match(host); });
  jumps(Table::kNat, "! -s " + bytes + " -d " + many_bytes, [&](Rule& rule) {
    rule.source = address_match(bytes, true);
    rule.destination = address_match(many_bytes);
  });
  jumps(Table::kNat, "-s " + bits + " ! -d " + more_bits, [&](Rule& rule) {
    rule.source = address_match(bits);
    rule.destination = address_match(more_bits, true);
  });
  jumps(Table::kNat, "-i eth0", [](Rule& rule) { rule.in_interface = InterfaceMatch{"eth0", false, false}; });
  jumps(Table::kNat, "! -i veth+", [](Rule& rule) { rule.in_interface = InterfaceMatch{"veth", true, true}; });
  jumps(Table::kNat, "-i a23456789012345 -o b", [](Rule& rule) {
    rule.in_interface = InterfaceMatch{"a23456789012345", false, false};
    rule.out_interface = InterfaceMatch{"b", false, false};
  });
  jumps(Table::kNat, "! -i cbr0 ! -o lo+", [](Rule& rule) {
    rule.in_interface = InterfaceMatch{"cbr0", false, true};
    rule.out_interface = InterfaceMatch{"lo", true, true};
  });
  jumps(Table::kNat, "-m comment --comment \"ns1/svc1:p80 cluster IP\"",
        [](Rule& rule) { rule.matches = {CommentMatch{"ns1/svc1:p80 cluster IP"}}; });
  jumps(Table::kNat, "-m comment --comment " + std::string(255, 'x'),
        [](Rule& rule) { rule.matches = {CommentMatch{std::string(255, 'x')}}; });
  jumps(Table::kNat, "-p tcp -m tcp --dport 80", [](Rule& rule) {
    rule.protocol = Protocol::kTcp;
    rule.matches = {PortMatch{Protocol::kTcp, 80}};
  });
  jumps(Table::kNat, "-p udp -m udp --dport 65535", [](Rule& rule) {
    rule.protocol = Protocol::kUdp;
    rule.matches = {PortMatch{Protocol::kUdp, 65535}};
  });
  jumps(Table::kNat, "-p sctp -m sctp --dport 9", [](Rule& rule) {
    rule.protocol = Protocol::kSctp;
    rule.matches = {PortMatch{Protocol::kSctp, 9}};
  });
  jumps(Table::kNat, "-p tcp", [](Rule& rule) { rule.protocol = Protocol::kTcp; });
  jumps(Table::kNat, "-p tcp -m multiport --dports 80,443,8080", [](Rule& rule) {
    rule.protocol = Protocol::kTcp;
    rule.matches = {MultiportMatch{{80, 443, 8080}}};
  });
  jumps(Table::kNat, "-p udp -m multiport --dports 53", [](Rule& rule) {
    rule.protocol = Protocol::kUdp;
    rule.matches = {MultiportMatch{{53}}};
  });
  jumps(Table::kNat, "-m addrtype --dst-type LOCAL", [](Rule& rule) { rule.matches = {AddrTypeMatch{false, true}}; });
  jumps(Table::kNat, "-m addrtype --src-type LOCAL", [](Rule& rule) { rule.matches = {AddrTypeMatch{true, false}}; });
  jumps(Table::kNat, "-m addrtype --src-type LOCAL --dst-type LOCAL", [](Rule& rule) {
    rule.matches = {AddrTypeMatch{true, true}};
  });
  jumps(Table::kNat, "-m statistic --mode random --probability 0.50000000000",
        [](Rule& rule) { rule.matches = {StatisticMatch{0x40000000}}; });
  jumps(Table::kNat, "-m statistic --mode random --probability 0.33333333349",
        [](Rule& rule) { rule.matches = {StatisticMatch{715827883}}; });
  jumps(Table::kNat,
        "-m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-SXIVWICOYRO3J4NJ --mask " + mask + " --rsource",
        [](Rule& rule) {
          rule.matches = {RecentMatch{"KUBE-SEP-SXIVWICOYRO3J4NJ", RecentMatch::Action::kCheck, 10800, true}};
        });
  jumps(Table::kNat, "-m recent --rcheck --name abc --mask " + mask + " --rsource", [](Rule& rule) {
    rule.matches = {RecentMatch{"abc", RecentMatch::Action::kCheck, 0, false}};
  });
  add(Table::kNat,
      "-p tcp -m comment --comment \"a b\" -m recent --set --name KUBE-SEP-A --mask " + mask +
          " --rsource -m tcp -j DNAT --to-destination " + (four ? "10.180.0.1:80" : "[fd00:10::1]:80"),
      [&](Rule& rule) {
        rule.protocol = Protocol::kTcp;
        rule.matches = {CommentMatch{"a b"}, RecentMatch{"KUBE-SEP-A", RecentMatch::Action::kSet, 0, false},
                        PortMatch{Protocol::kTcp, std::nullopt}};
        rule.target = DnatTarget{*Address::parse(four ? "10.180.0.1" : "fd00:10::1"), 80};
      });
  add(Table::kNat,
      std::string("-p udp -m udp -j DNAT --to-destination ") + (four ? "10.180.0.2:5353" : "[fd00:10::2]:5353"),
      [&](Rule& rule) {
        rule.protocol = Protocol::kUdp;
        rule.matches = {PortMatch{Protocol::kUdp, std::nullopt}};
        rule.target = DnatTarget{*Address::parse(four ? "10.180.0.2" : "fd00:10::2"), 5353};
      });
  add(Table::kNat,
      std::string("-p sctp -m sctp -j DNAT --to-destination ") + (four ? "10.180.0.3:1" : "[fd00:10::3]:1"),
      [&](Rule& rule) {
        rule.protocol = Protocol::kSctp;
        rule.matches = {PortMatch{Protocol::kSctp, std::nullopt}};
        rule.target = DnatTarget{*Address::parse(four ? "10.180.0.3" : "fd00:10::3"), 1};
      });
  add(Table::kNat, "-j MASQUERADE --random-fully", [](Rule& rule) { rule.target = MasqueradeTarget{true}; });
  add(Table::kNat, "-m comment --comment abc -j MASQUERADE", [](Rule& rule) {
    rule.matches = {CommentMatch{"abc"}};
    rule.target = MasqueradeTarget{false};
  });
  add(Table::kNat, "-j MARK --set-xmark 0x4000/0x4000", [](Rule& rule) { rule.target = MarkTarget{0x4000, 0x4000}; });
  add(Table::kNat, "-j MARK --set-xmark 0x80000000/0x0", [](Rule& rule) { rule.target = MarkTarget{0x80000000, 0}; });
  add(Table::kNat, "-m mark ! --mark 0x4000/0x4000 -j RETURN", [](Rule& rule) {
    rule.matches = {MarkMatch{0x4000, 0x4000, true}};
    rule.target = Verdict::kReturn;
  });
  add(Table::kNat, "-m comment --comment \"no target: \\\"quoted\\\"\"",
      [](Rule& rule) { rule.matches = {CommentMatch{"no target: \"quoted\""}}; });
  add(Table::kNat, std::string("-p tcp -g ") + kSampleTarget, [](Rule& rule) {
    rule.protocol = Protocol::kTcp;
    rule.target = Jump{kSampleTarget, true};
  });

  add(Table::kFilter, "-m mark --mark 0x4000/0x4000 -j ACCEPT", [](Rule& rule) {
    rule.matches = {MarkMatch{0x4000, 0x4000, false}};
    rule.target = Verdict::kAccept;
  });
  add(Table::kFilter, "-m mark --mark 0x12 -j DROP", [](Rule& rule) {
    rule.matches = {MarkMatch{0x12, 0xffffffff, false}};
    rule.target = Verdict::kDrop;
  });
  add(Table::kFilter, "-m conntrack --ctstate INVALID -j DROP", [](Rule& rule) {
    rule.matches = {ConntrackMatch{kStateInvalid, false}};
    rule.target = Verdict::kDrop;
  });
  add(Table::kFilter, "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP", [](Rule& rule) {
    rule.matches = {ConntrackMatch{kStateRelated | kStateEstablished | kStateDnat, true}};
    rule.target = Verdict::kDrop;
  });
  jumps(Table::kFilter, "-m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\"",
        [](Rule& rule) {
          rule.matches = {ConntrackMatch{kStateNew, false}, CommentMatch{"kubernetes service portals"}};
        });
  add(Table::kFilter,
      std::string("-m conntrack --ctstate INVALID -m nfacct --nfacct-name  ") + kSampleCounter + " -j DROP",
      [](Rule& rule) {
        rule.matches = {ConntrackMatch{kStateInvalid, false}, NfacctMatch{kSampleCounter}};
        rule.target = Verdict::kDrop;
      });
  add(Table::kFilter,
      "-d " + host +
          " -p tcp -m comment --comment \"ns2/svc2:p80 has no endpoints\" -m tcp --dport 80 -j REJECT --reject-with " +
          (four ? "icmp-port-unreachable" : "icmp6-port-unreachable"),
      [&](Rule& rule) {
        rule.destination = address_match(host);
        rule.protocol = Protocol::kTcp;
        rule.matches = {CommentMatch{"ns2/svc2:p80 has no endpoints"}, PortMatch{Protocol::kTcp, 80}};
        rule.target = RejectTarget{};
      });
  add(Table::kFilter, "-p sctp -m comment --comment a -m addrtype --dst-type LOCAL -m sctp --dport 3001 -j DROP",
      [](Rule& rule) {
        rule.protocol = Protocol::kSctp;
        rule.matches = {CommentMatch{"a"}, AddrTypeMatch{false, true}, PortMatch{Protocol::kSctp, 3001}};
        rule.target = Verdict::kDrop;
      });
  return samples;
}

}  // namespace kubenatd::test
