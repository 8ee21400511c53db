#include "rules/text.h"

#include <catch2/catch.hpp>

using namespace kubenatd::rules;

namespace {

std::string text_of(Match match, Family family = Family::kIpv4) {
  Rule rule;
  rule.matches.push_back(std::move(match));
  return to_text(rule, family);
}

std::string text_of(Target target, Family family = Family::kIpv4) {
  Rule rule;
  rule.target = std::move(target);
  return to_text(rule, family);
}

std::string text_of_comment(std::string text) {
  return text_of(Match(CommentMatch{std::move(text)}));
}

}  // namespace

TEST_CASE("header matches are printed in iptables' order") {
  Rule rule;
  rule.source = AddressMatch{*Prefix::parse("10.0.0.0/8"), true};
  rule.destination = AddressMatch{*Prefix::parse("172.30.0.41/32"), false};
  rule.in_interface = InterfaceMatch{"veth", true, true};
  rule.out_interface = InterfaceMatch{"eth0", false, false};
  rule.protocol = Protocol::kTcp;
  rule.matches = {CommentMatch{"a"}, PortMatch{Protocol::kTcp, std::uint16_t{80}}};
  rule.target = Jump{"KUBE-MARK-MASQ", false};
  CHECK(to_text(rule, Family::kIpv4) ==
        "! -s 10.0.0.0/8 -d 172.30.0.41/32 ! -i veth+ -o eth0 -p tcp -m comment --comment a -m tcp --dport 80 "
        "-j KUBE-MARK-MASQ");
}

TEST_CASE("a block of all addresses is not printed, unless it is negated") {
  Rule rule;
  rule.source = AddressMatch{*Prefix::parse("0.0.0.0/0"), false};
  rule.destination = AddressMatch{*Prefix::parse("0.0.0.0/0"), true};
  CHECK(to_text(rule, Family::kIpv4) == "! -d 0.0.0.0/0");
}

TEST_CASE("an empty rule has an empty text") {
  CHECK(to_text(Rule{}, Family::kIpv4).empty());
}

TEST_CASE("comments are quoted as iptables quotes them") {
  CHECK(text_of_comment("abc_DEF-019") == "-m comment --comment abc_DEF-019");
  CHECK(text_of_comment("ns1/svc1:p80") == R"(-m comment --comment "ns1/svc1:p80")");
  CHECK(text_of_comment("a b") == R"(-m comment --comment "a b")");
  CHECK(text_of_comment("a.b") == R"(-m comment --comment "a.b")");
  CHECK(text_of_comment("") == R"(-m comment --comment "")");
  CHECK(text_of_comment(R"(it's "so" \)") == R"(-m comment --comment "it\'s \"so\" \\")");
  CHECK(text_of_comment("\xc3\xa9") == "-m comment --comment \"\xc3\xa9\"");
}

TEST_CASE("port matches print their protocol, and the port when there is one") {
  CHECK(text_of(PortMatch{Protocol::kUdp, std::uint16_t{53}}) == "-m udp --dport 53");
  CHECK(text_of(PortMatch{Protocol::kSctp, std::uint16_t{3868}}) == "-m sctp --dport 3868");
  CHECK(text_of(PortMatch{Protocol::kTcp, std::nullopt}) == "-m tcp");
  CHECK(text_of(MultiportMatch{{80, 443}}) == "-m multiport --dports 80,443");
}

TEST_CASE("marks are printed with a mask when it is not a full one") {
  CHECK(text_of(MarkMatch{0x4000, 0x4000, true}) == "-m mark ! --mark 0x4000/0x4000");
  CHECK(text_of(MarkMatch{0x4000, 0xffffffff, false}) == "-m mark --mark 0x4000");
  CHECK(text_of(MarkTarget{0x4000, 0x4000}) == "-j MARK --set-xmark 0x4000/0x4000");
  CHECK(text_of(MarkTarget{0x4000, 0}) == "-j MARK --set-xmark 0x4000/0x0");
}

TEST_CASE("conntrack states are printed in iptables' order") {
  CHECK(text_of(ConntrackMatch{kStateNew, false}) == "-m conntrack --ctstate NEW");
  CHECK(text_of(ConntrackMatch{kStateNew | kStateUntracked | kStateDnat, true}) ==
        "-m conntrack ! --ctstate NEW,UNTRACKED,DNAT");
  CHECK(text_of(ConntrackMatch{kStateDnat | kStateEstablished | kStateRelated, true}) ==
        "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT");
  CHECK(text_of(ConntrackMatch{kStateInvalid | kStateNew | kStateSnat, false}) ==
        "-m conntrack --ctstate INVALID,NEW,SNAT");
}

TEST_CASE("address types are printed") {
  CHECK(text_of(AddrTypeMatch{true, false}) == "-m addrtype --src-type LOCAL");
  CHECK(text_of(AddrTypeMatch{false, true}) == "-m addrtype --dst-type LOCAL");
}

TEST_CASE("probabilities have eleven decimals of what the kernel keeps") {
  CHECK(text_of(StatisticMatch{0x40000000}) == "-m statistic --mode random --probability 0.50000000000");
  CHECK(text_of(StatisticMatch{715827883}) == "-m statistic --mode random --probability 0.33333333349");
  CHECK(text_of(StatisticMatch{429496730}) == "-m statistic --mode random --probability 0.20000000019");
}

TEST_CASE("recent is printed with the mask of the family") {
  CHECK(text_of(RecentMatch{"KUBE-SEP-A", RecentMatch::Action::kSet, 0, false}) ==
        "-m recent --set --name KUBE-SEP-A --mask 255.255.255.255 --rsource");
  CHECK(text_of(RecentMatch{"KUBE-SEP-A", RecentMatch::Action::kCheck, 10800, true}, Family::kIpv6) ==
        "-m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-A "
        "--mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource");
}

TEST_CASE("nfacct is printed with two blanks") {
  CHECK(text_of(NfacctMatch{"ct_state_invalid_dropped_pkts"}) ==
        "-m nfacct --nfacct-name  ct_state_invalid_dropped_pkts");
}

TEST_CASE("targets are printed") {
  CHECK(text_of(Verdict::kAccept) == "-j ACCEPT");
  CHECK(text_of(Verdict::kDrop) == "-j DROP");
  CHECK(text_of(Verdict::kReturn) == "-j RETURN");
  CHECK(text_of(Jump{"KUBE-SVC-A", false}) == "-j KUBE-SVC-A");
  CHECK(text_of(Jump{"KUBE-SVC-A", true}) == "-g KUBE-SVC-A");
  CHECK(text_of(MasqueradeTarget{true}) == "-j MASQUERADE --random-fully");
  CHECK(text_of(MasqueradeTarget{false}) == "-j MASQUERADE");
  CHECK(text_of(RejectTarget{}) == "-j REJECT --reject-with icmp-port-unreachable");
  CHECK(text_of(RejectTarget{}, Family::kIpv6) == "-j REJECT --reject-with icmp6-port-unreachable");
  CHECK(text_of(DnatTarget{*Address::parse("10.180.0.1"), 80}) == "-j DNAT --to-destination 10.180.0.1:80");
  CHECK(text_of(DnatTarget{*Address::parse("fd00::5"), 8080}, Family::kIpv6) ==
        "-j DNAT --to-destination [fd00::5]:8080");
}

TEST_CASE("an opaque rule gives its description") {
  Rule rule;
  rule.opaque = "(a rule with: quota)";
  CHECK(to_text(rule, Family::kIpv4) == "(a rule with: quota)");
}

TEST_CASE("a whole table is printed as iptables-save prints it") {
  Rule jump, accept;
  jump.target = Jump{"KUBE-B", false};
  accept.target = Verdict::kAccept;
  TableText filter{Table::kFilter,
                   {{"KUBE-B", false, {accept, Rule{}}},
                    {"INPUT", true, {jump}},
                    {"KUBE-A", false, {}},
                    {"FORWARD", true, {}},
                    {"KUBE-A-1", false, {jump}}}};
  TableText nat{Table::kNat, {}};
  CHECK(to_save_text({filter, nat}, Family::kIpv4) ==
        "*filter\n"
        ":INPUT ACCEPT [0:0]\n"
        ":FORWARD ACCEPT [0:0]\n"
        ":KUBE-A - [0:0]\n"
        ":KUBE-A-1 - [0:0]\n"
        ":KUBE-B - [0:0]\n"
        "-A INPUT -j KUBE-B\n"
        "-A KUBE-A-1 -j KUBE-B\n"
        "-A KUBE-B -j ACCEPT\n"
        "-A KUBE-B\n"
        "COMMIT\n"
        "*nat\n"
        "COMMIT\n");
}
