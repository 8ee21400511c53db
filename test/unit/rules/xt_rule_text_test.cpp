#include "rules/walk/xt/rule_text.h"

#include <fmt/format.h>
#include <linux/if_packet.h>
#include <linux/netfilter/nf_conntrack_common.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <string>

#include "rules/text.h"
#include "rules/walk/xt/matches.h"

using namespace kubenatd::rules;
using namespace kubenatd::rules::walk;

namespace {

using Statements = std::vector<Statement>;

constexpr Family k4 = Family::kIpv4, k6 = Family::kIpv6;

bool is_chain(std::string_view name) {
  return name == "KUBE-SVC" || name == "LOGDROP";
}

WalkRule read(std::string_view text, Family family = k4) {
  return xt::read_rule(text, family, is_chain);
}

Address address(std::string_view text) {
  return Address::parse(text).value();
}

Prefix prefix(std::string_view text) {
  return Prefix::parse(text).value();
}

Statement verdict(walk::Verdict verdict, std::string chain = {}) {
  return ToVerdict{verdict, std::move(chain)};
}

Statement unjudged(std::string text) {
  return Unjudged{std::move(text), Part::kOther};
}

/// How the statements differ, for people; empty: they say the same.
std::string differences(const Statements& read, const Statements& wanted) {
  std::string text;
  if (read.size() != wanted.size()) text = fmt::format("{} statements, not {}", read.size(), wanted.size());
  for (std::size_t i = 0; i < std::min(read.size(), wanted.size()); ++i)
    if (!same(read[i], wanted[i]))
      text += fmt::format("; {} is another one (kind {}, not {})", i, read[i].index(), wanted[i].index());
  for (const Statement& statement : read)
    if (const auto* unjudged = std::get_if<Unjudged>(&statement)) text += "; not judged: " + unjudged->text;
  for (const Statement& statement : read)
    if (const auto* other = std::get_if<OtherTarget>(&statement)) text += "; other target: " + other->text;
  const auto alike = [](const Statement& one, const Statement& other) { return same(one, other); };
  return std::ranges::equal(read, wanted, alike) ? "" : text;
}

struct Case {
  std::string_view text;
  Statements statements;
  bool in_model = false;
  Family family = k4;
};

void check(std::initializer_list<Case> cases) {
  for (const Case& wanted : cases) {
    const WalkRule rule = read(wanted.text, wanted.family);
    INFO(wanted.text);
    CHECK(differences(rule.statements, wanted.statements) == "");
    CHECK(rule.model.has_value() == wanted.in_model);
    CHECK(rule.text == wanted.text);
  }
}

}  // namespace

TEST_CASE("a rule's header is read with its negations", "[xt]") {
  check({
      {"", {}, true},
      {"-s 10.0.0.0/8", {xt::source(prefix("10.0.0.0/8"), false)}, true},
      {"! -s 10.0.0.0/8", {xt::source(prefix("10.0.0.0/8"), true)}, true},
      {"-s ! 10.0.0.0/8", {xt::source(prefix("10.0.0.0/8"), true)}, true},
      {"-d 10.0.0.1", {xt::destination(prefix("10.0.0.1/32"), false)}, true},
      {"! -d 10.1.0.0/255.255.0.0", {xt::destination(prefix("10.1.0.0/16"), true)}, true},
      {"-s 0.0.0.0/0", {}, true},
      {"-s 10.0.0.1/255.0.255.0", {xt::address_masked(true, address("10.0.0.1"), address("255.0.255.0"), false)}},
      {"! -d 10.0.0.1/255.0.255.0", {xt::address_masked(false, address("10.0.0.1"), address("255.0.255.0"), true)}},
      {"! -d fd00::/8", {xt::destination(prefix("fd00::/8"), true)}, true, k6},
      {"-s fd00::1/ffff::ffff",
       {xt::address_masked(true, address("fd00::1"), address("ffff::ffff"), false)},
       false,
       k6},
      {"-i eth+", {xt::in_interface("eth", true, false)}, true},
      {"! -i docker0", {xt::in_interface("docker0", false, true)}, true},
      {"! -o cali+", {xt::out_interface("cali", true, true)}, true},
      {"-o ! lo", {xt::out_interface("lo", false, true)}, true},
      {"-i +", {}, true},
      {"-p tcp", {xt::protocol(6, k4, false)}, true},
      {"-p 6", {xt::protocol(6, k4, false)}, true},
      {"! -p udp", {xt::protocol(17, k4, true)}},
      {"-p ! tcp", {xt::protocol(6, k4, true)}},
      {"-p esp", {xt::protocol(50, k4, false)}},
      {"-p 99", {xt::protocol(99, k4, false)}},
      {"-p all", {}, true},
      {"-p ipv6-icmp", {xt::protocol(58, k6, false)}, false, k6},
      {"-f", {xt::fragment(false)}},
      {"! -f", {xt::fragment(true)}},
      {"--source 10.0.0.1 --in-interface lo --protocol tcp --jump DROP",
       {xt::source(prefix("10.0.0.1/32"), false), xt::in_interface("lo", false, false), xt::protocol(6, k4, false),
        verdict(walk::Verdict::kDrop)},
       true},
      {"-s 10.0.0.1/24", {xt::source(prefix("10.0.0.1/24"), false)}, true},
  });
}

TEST_CASE("what a header has wrong cannot be judged", "[xt]") {
  check({
      {"-s fd00::1/128", {unjudged("-s fd00::1/128")}},
      {"-d 10.0.0.1/32", {unjudged("-d 10.0.0.1/32")}, false, k6},
      {"-s 10.0.0.1/33", {unjudged("-s 10.0.0.1/33")}},
      {"-s host.example", {unjudged("-s host.example")}},
      {"-s", {unjudged("-s")}},
      {"! -s", {unjudged("! -s")}},
      {"-p", {unjudged("-p")}},
      {"-p 256", {unjudged("-p 256")}},
      {"-p nothing", {unjudged("-p nothing")}},
      {"! -p all", {unjudged("! -p all")}},
      {"-f", {unjudged("-f")}, false, k6},
      {"!", {unjudged("!")}},
      {"-m", {unjudged("-m")}},
      {"-i", {unjudged("-i")}},
      {"--strange 5 -i lo", {unjudged("--strange 5"), xt::in_interface("lo", false, false)}},
  });
}

TEST_CASE("ports and flags are read in all forms", "[xt]") {
  const Statement tcp = xt::protocol(6, k4, false), udp = xt::protocol(17, k4, false);
  const Statement sctp = xt::protocol(132, k4, false);
  using xt::Chunks;
  check({
      {"-p tcp -m tcp", {tcp}, true},
      {"-p tcp -m tcp --dport 80", {tcp, xt::ports(false, {{80, 80}}, false)}, true},
      {"-p tcp --dport 80", {tcp, xt::ports(false, {{80, 80}}, false)}, true},
      {"-p tcp -m tcp ! --dport 80", {tcp, xt::ports(false, {{80, 80}}, true)}},
      {"-p tcp -m tcp --dport ! 80", {tcp, xt::ports(false, {{80, 80}}, true)}},
      {"-p tcp -m tcp --sport 1: --dport :5",
       {tcp, xt::ports(true, {{1, 65535}}, false), xt::ports(false, {{0, 5}}, false)}},
      {"-p udp -m udp ! --sport 5:9", {udp, xt::ports(true, {{5, 9}}, true)}},
      {"-p udp -m udp --dport 53", {udp, xt::ports(false, {{53, 53}}, false)}, true},
      {"-p sctp -m sctp --sport 9 ! --dport 8:10",
       {sctp, xt::ports(true, {{9, 9}}, false), xt::ports(false, {{8, 10}}, true)}},
      {"-p tcp -m tcp --tcp-flags SYN,ACK SYN", {tcp, xt::tcp_flags(0x12, 0x02, false)}},
      {"-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN", {tcp, xt::tcp_flags(0x17, 0x02, true)}},
      {"-p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE", {tcp, xt::tcp_flags(0x3f, 0, false)}},
      {"-p tcp -m tcp --tcp-flags ALL FIN,PSH,URG", {tcp, xt::tcp_flags(0x3f, 0x29, false)}},
      {"-p tcp -m tcp --syn", {tcp, xt::tcp_flags(0x17, 0x02, false)}},
      {"-p tcp ! --syn", {tcp, xt::tcp_flags(0x17, 0x02, true)}},
      {"-p tcp -m tcp --tcp-option 8", {tcp, xt::tcp_option(8, false)}},
      {"-p tcp -m tcp ! --tcp-option 8", {tcp, xt::tcp_option(8, true)}},
      {"-p tcp -m tcpmss --mss 1:536", {tcp, xt::tcp_segment_size(1, 536, false)}},
      {"-p sctp -m sctp --chunk-types any DATA,INIT", {sctp, xt::sctp_chunks(Chunks::kAny, {0, 1}, false)}},
      {"-p sctp -m sctp ! --chunk-types all INIT", {sctp, xt::sctp_chunks(Chunks::kAll, {1}, true)}},
      {"-p sctp -m sctp --chunk-types only DATA:Be", {sctp, xt::sctp_chunks(Chunks::kOnly, {0}, false)}},
      {"-p sctp -m sctp --chunk-types only NONE", {sctp, xt::sctp_chunks(Chunks::kOnly, {}, false)}},
      {"-p tcp -m multiport --dports 80,443", {tcp, xt::ports(false, {{80, 80}, {443, 443}}, false)}, true},
      {"-p tcp -m multiport --dports 80,8000:8010", {tcp, xt::ports(false, {{80, 80}, {8000, 8010}}, false)}},
      {"-p tcp -m multiport ! --dports 80", {tcp, xt::ports(false, {{80, 80}}, true)}},
      {"-p udp -m multiport ! --sports 80,90:95", {udp, xt::ports(true, {{80, 80}, {90, 95}}, true)}},
      {"-p tcp -m multiport --ports 80,81", {tcp, xt::either_port({{80, 80}, {81, 81}}, false)}},
      {"-p tcp -m multiport ! --ports 80", {tcp, xt::either_port({{80, 80}}, true)}},
      {"-p icmp -m icmp --icmp-type 3/4", {xt::protocol(1, k4, false), Never{}}},
      {"-p icmp -m icmp ! --icmp-type any", {xt::protocol(1, k4, false), Never{}}},
      {"-p ipv6-icmp -m icmp6 --icmpv6-type 128", {xt::protocol(58, k6, false), Never{}}, false, k6},
      {"-p dccp -m dccp --dport 5", {xt::protocol(33, k4, false), Never{}}},
      {"-m frag --fragid 5", {Never{}}, false, k6},
      // -m tcp asks for tcp by itself.
      {"-m tcp --dport 80", {tcp, xt::ports(false, {{80, 80}}, false)}},
      {"-p tcp -m tcp --dport 65536", {tcp, unjudged("-m tcp --dport 65536")}},
      {"-p tcp -m tcp --dport", {tcp, unjudged("-m tcp --dport")}},
      {"-p tcp -m tcp --dport 80 --dport 81", {tcp, unjudged("-m tcp --dport 80 --dport 81")}},
      {"-p tcp -m tcp --dport 80 --strange", {tcp, unjudged("-m tcp --dport 80 --strange")}},
      {"-p tcp -m tcp --tcp-flags SYN,XXX SYN", {tcp, unjudged("-m tcp --tcp-flags SYN,XXX SYN")}},
      {"-p sctp -m sctp --chunk-types any UNHEARD", {sctp, unjudged("-m sctp --chunk-types any UNHEARD")}},
  });
}

TEST_CASE("what rules ask of the connection is read", "[xt]") {
  const auto mask = address("255.0.0.0");
  const auto whole = address("255.255.255.255");
  check({
      {"-m conntrack --ctstate RELATED,ESTABLISHED",
       {xt::connection_state(kStateRelated | kStateEstablished, false)},
       true},
      {"-m conntrack ! --ctstate INVALID,DNAT", {xt::connection_state(kStateInvalid | kStateDnat, true)}, true},
      {"-m state --state NEW,UNTRACKED", {xt::connection_state(kStateNew | 0x100, false)}, true},
      {"-m state ! --state NEW", {xt::connection_state(kStateNew, true)}, true},
      {"-m conntrack ! --ctstatus NONE", {xt::connection_status(0, true)}},
      {"-m conntrack --ctstatus SEEN_REPLY,ASSURED", {xt::connection_status(IPS_SEEN_REPLY | IPS_ASSURED, false)}},
      {"-m conntrack --ctproto 6", {xt::connection_protocol(6, false)}},
      {"-m conntrack ! --ctproto udp", {xt::connection_protocol(17, true)}},
      {"-m conntrack --ctorigsrc 10.0.0.0/8", {xt::connection_address(true, true, address("10.0.0.0"), mask, false)}},
      {"-m conntrack ! --ctorigdst 10.0.0.1", {xt::connection_address(true, false, address("10.0.0.1"), whole, true)}},
      {"-m conntrack --ctreplsrc 10.0.0.1 --ctrepldst 10.0.0.2",
       {xt::connection_address(false, true, address("10.0.0.1"), whole, false),
        xt::connection_address(false, false, address("10.0.0.2"), whole, false)}},
      {"-m conntrack --ctorigsrcport 5 ! --ctorigdstport 6:7",
       {xt::connection_ports(true, true, 5, 5, false), xt::connection_ports(true, false, 6, 7, true)}},
      {"-m conntrack ! --ctreplsrcport 5 --ctrepldstport 6:7",
       {xt::connection_ports(false, true, 5, 5, true), xt::connection_ports(false, false, 6, 7, false)}},
      {"-m conntrack --ctdir REPLY", {xt::connection_direction(false)}},
      {"-m conntrack --ctstate NEW --ctdir ORIGINAL",
       {xt::connection_state(kStateNew, false), xt::or_without_connection(xt::connection_direction(true))}},
      {"-m conntrack --ctexpire 5:6", {unjudged("-m conntrack --ctexpire 5:6")}},
      {"-m conntrack", {unjudged("-m conntrack")}},
      {"-m conntrack --ctstate OLD", {unjudged("-m conntrack --ctstate OLD")}},
      {"-m mark --mark 0x4000/0x4000", {xt::mark(0x4000, 0x4000, false)}, true},
      {"-m mark ! --mark 1", {xt::mark(1, 0xffffffff, true)}, true},
      {"-m connmark ! --mark 0x7/0xff", {xt::connmark(7, 0xff, true)}},
      {"-m mark --mark 0x100000000", {unjudged("-m mark --mark 0x100000000")}},
      {"-m helper ! --helper ftp", {xt::expected_connection(true)}},
  });
}

TEST_CASE("what rules ask of addresses and other fields is read", "[xt]") {
  using xt::Compare;
  check({
      {"-m addrtype --dst-type LOCAL", {xt::address_type(false, 4, false, false, false, k4)}, true},
      {"-m addrtype --src-type LOCAL --dst-type LOCAL",
       {xt::address_type(true, 4, false, false, false, k4), xt::address_type(false, 4, false, false, false, k4)},
       true},
      {"-m addrtype ! --dst-type LOCAL", {xt::address_type(false, 4, true, false, false, k4)}},
      {"-m addrtype ! --src-type UNSPEC,UNICAST,BROADCAST,ANYCAST,MULTICAST,BLACKHOLE,UNREACHABLE,PROHIBIT,THROW,NAT,"
       "XRESOLVE",
       {xt::address_type(true, 0xffb, true, false, false, k4)}},
      {"-m addrtype --dst-type LOCAL --limit-iface-in", {xt::address_type(false, 4, false, true, false, k4)}},
      {"-m addrtype ! --src-type LOCAL --limit-iface-out", {xt::address_type(true, 4, true, false, true, k4)}},
      {"-m addrtype --dst-type LOCAL", {xt::address_type(false, 4, false, false, false, k6)}, true, k6},
      {"-m addrtype --limit-iface-in", {unjudged("-m addrtype --limit-iface-in")}},
      {"-m iprange --src-range 10.0.0.1-10.0.0.9 ! --dst-range 1.1.1.1-2.2.2.2",
       {xt::address_range(true, address("10.0.0.1"), address("10.0.0.9"), false),
        xt::address_range(false, address("1.1.1.1"), address("2.2.2.2"), true)}},
      {"-m length ! --length 0:60", {xt::length(0, 60, true)}},
      {"-m length --length 5:65535", {xt::length(5, 65535, false)}},
      {"-m ttl --ttl-eq 5", {xt::ttl(Compare::kEqual, 5, k4)}},
      {"-m ttl ! --ttl-eq 5", {xt::ttl(Compare::kNotEqual, 5, k4)}},
      {"-m ttl --ttl-lt 5", {xt::ttl(Compare::kLess, 5, k4)}},
      {"-m hl --hl-gt 5", {xt::ttl(Compare::kGreater, 5, k6)}, false, k6},
      {"-m hl ! --hl-eq 5", {xt::ttl(Compare::kNotEqual, 5, k6)}, false, k6},
      {"-m dscp --dscp 0x2e", {xt::dscp(0x2e, k4, false)}},
      {"-m dscp ! --dscp-class AF21", {xt::dscp(18, k4, true)}},
      {"-m dscp --dscp-class CS6", {xt::dscp(48, k4, false)}},
      {"-m tos --tos 0x10/0x3f", {xt::tos(0x10, 0x3f, k4, false)}},
      {"-m tos ! --tos 0x08", {xt::tos(8, 0xff, k4, true)}},
      {"-m tos --tos Minimize-Delay", {xt::tos(0x10, 0x3f, k6, false)}, false, k6},
      {"-m mac ! --mac-source 00:11:22:33:44:5f",
       {xt::source_mac(std::string_view("\0\x11\x22\x33\x44\x5f", 6), true)}},
      {"-m pkttype --pkt-type multicast", {xt::packet_type(PACKET_MULTICAST, false)}},
      {"-m pkttype ! --pkt-type unicast", {xt::packet_type(PACKET_HOST, true)}},
      {"-m mac --mac-source 00:11:22:33:44", {unjudged("-m mac --mac-source 00:11:22:33:44")}},
  });
}

TEST_CASE("what rules ask of the node is read", "[xt]") {
  check({
      {"-m owner --uid-owner 1000-1999", {xt::owner_user(1000, 1999, false)}},
      {"-m owner ! --uid-owner root", {xt::owner_user(0, 0, true)}},
      {"-m owner --uid-owner 0 ! --gid-owner 5", {xt::owner_user(0, 0, false), xt::owner_group(5, 5, true)}},
      {"-m owner ! --socket-exists", {xt::socket_exists(true)}},
      {"-m owner --uid-owner nobody", {unjudged("-m owner --uid-owner nobody")}},
      {"-m owner --gid-owner 4 --suppl-groups", {unjudged("-m owner --gid-owner 4 --suppl-groups")}},
      {"-m physdev ! --physdev-is-bridged", {xt::bridge_port("-m physdev --physdev-is-bridged", true)}},
      {"-m policy --dir in --pol none", {xt::ipsec(true, true)}},
      {"-m policy --dir out --pol ipsec --strict --reqid 5",
       {xt::ipsec(false, false), unjudged("-m policy --dir out --pol ipsec --strict --reqid 5")}},
      {"-m rpfilter --loose --validmark --invert", {xt::way_back(true, true, false, true, k4)}},
      {"-m rpfilter", {xt::way_back(false, false, false, false, k4)}},
      {"-m socket --transparent", {xt::socket_found(false), xt::socket_transparent()}},
      {"-m devgroup ! --src-group 0x5/0x7", {xt::interface_group(true, 5, 7, true)}},
      {"-m cgroup ! --cgroup 5", {xt::cgroup_class(5, true)}},
  });
  CHECK(std::holds_alternative<Condition>(read("-m cpu --cpu 1").statements.at(0)));
  CHECK(std::holds_alternative<Condition>(read("-m realm --realm 0x4/0x5").statements.at(0)));
}

TEST_CASE("time, chance, memory and sets are read", "[xt]") {
  const auto share = [](double odds) { return std::lround(odds * (1U << 31U)) / static_cast<double>(1U << 31U); };
  InTime office;
  office.day_from = 9 * 3600;
  office.day_until = 17 * 3600 + 30 * 60;
  office.weekdays = 0x3e;
  InTime dates;
  dates.from = 1735787045;  // 2025-01-02T03:04:05
  dates.until = 1738555506;
  dates.local_time = true;
  InTime leap;
  leap.from = 951868800;
  InTime days;
  days.month_days = 0x80000006;
  days.weekdays = 0xfe ^ 0x80;
  days.contiguous = true;
  check({
      {"-m statistic --mode random --probability 0.50000000000", {Chance{0.5}}, true},
      {"-m statistic --mode random --probability 0.33333333349", {Chance{share(0.33333333349)}}, true},
      {"-m statistic --mode random ! --probability 0.25000000000", {Chance{0.75}}},
      {"-m statistic --mode nth --every 3 --packet 1", {xt::nth(3)}},
      {"-m statistic --mode nth ! --every 4 --packet 0", {Chance{0.75}}},
      {"-m statistic --mode nth --every 0", {unjudged("-m statistic --mode nth --every 0")}},
      {"-m statistic --mode nth --every 2 --packet 2", {unjudged("-m statistic --mode nth --every 2 --packet 2")}},
      {"-m statistic --mode random --probability nan", {unjudged("-m statistic --mode random --probability nan")}},
      {"-m recent --set --name x --mask 255.255.255.255 --rsource", {}, true},
      {"-m recent ! --set --name x", {Never{}}},
      {"-m recent --rcheck --seconds 10800 --reap --name x --mask 255.255.255.255 --rsource",
       {Remembered{"x", false}},
       true},
      {"-m recent ! --rcheck --name x --rsource", {Remembered{"x", true}}},
      {"-m recent --update --seconds 10 --hitcount 3 --name x --rsource", {Remembered{"x", false}}},
      {"-m recent --remove --name x --rsource", {Remembered{"x", false}}},
      {"-m recent --rcheck", {Remembered{"DEFAULT", false}}, true},
      {"-m recent --rcheck --name x --rdest", {unjudged("-m recent --rcheck --name x --rdest")}},
      {"-m recent --rcheck --name x --mask 255.255.0.0 --rsource",
       {unjudged("-m recent --rcheck --name x --mask 255.255.0.0 --rsource")}},
      {"-m recent --set --rcheck", {unjudged("-m recent --set --rcheck")}},
      {"-m set --match-set NAME src,dst", {InIpset{"NAME", {true, false}, false, ""}}},
      {"-m set ! --match-set NAME dst", {InIpset{"NAME", {false}, true, ""}}},
      {"-m set --match-set NAME src ! --update-counters", {InIpset{"NAME", {true}, false, ""}}},
      {"-m set --match-set NAME src --packets-gt 5", {unjudged("-m set --match-set NAME src --packets-gt 5")}},
      {"-m time --timestart 09:00:00 --timestop 17:30:00 --weekdays Mon,Tue,Wed,Thu,Fri", {office}},
      {"-m time --datestart 2025-01-02T03:04:05 --datestop 2025-02-03T04:05:06 --kerneltz", {dates}},
      {"-m time --monthdays 1,2,31 ! --weekdays Sun --contiguous", {days}},
      {"-m time --datestop 2038-01-19T03:14:07", {InTime{}}},
      {"-m time --datestart 2000-03-01T00:00:00", {leap}},
      {"-m time --timestart 25:00", {unjudged("-m time --timestart 25:00")}},
      {"-m time --datestart 2025-02-30", {unjudged("-m time --datestart 2025-02-30")}},
      {"-m nfacct --nfacct-name  localhost_nps_accepted_pkts", {xt::accounting("localhost_nps_accepted_pkts")}, true},
  });
}

TEST_CASE("the word behind --comment is its text whatever it looks like", "[xt]") {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"-m comment --comment --managed-by-ops-- -j DROP", "--managed-by-ops--"},
      {"-m comment --comment -j -j DROP", "-j"},
      {"-m comment --comment _-_ -j DROP", "_-_"},
      {"-m comment --comment \"!\" -j DROP", "!"},
      {"-m comment --comment \"\" -j DROP", ""},
      {R"(-m comment --comment "a \"q\" \\ b\'s -j ACCEPT" -j DROP)", R"(a "q" \ b's -j ACCEPT)"},
      {"-m comment --comment \"first\" -m comment --comment \"second\" -j DROP", "first"}};
  for (const auto& [text, comment] : cases) {
    INFO(text);
    const WalkRule rule = read(text);
    CHECK(differences(rule.statements, {verdict(walk::Verdict::kDrop)}) == "");
    CHECK(rule.comment == comment);
    CHECK(rule.model);
  }
  // As the model prints it.
  const WalkRule rule = read("-p tcp -m comment --comment --managed-by-ops-- -m tcp --dport 9100 -j DROP");
  REQUIRE(rule.model);
  CHECK(to_text(*rule.model, k4) == rule.text);
  CHECK(differences(read("-m string --string -j --algo bm -j DROP").statements,
                    {unjudged("-m string --string -j --algo bm"), verdict(walk::Verdict::kDrop)}) == "");
  CHECK(differences(read("-m hashlimit --hashlimit-upto 5/sec --hashlimit-name -j -j DROP").statements,
                    {unjudged("-m hashlimit --hashlimit-upto 5/sec --hashlimit-name -j"),
                     verdict(walk::Verdict::kDrop)}) == "");
  CHECK(read("-j LOG --log-prefix -j --log-level 7").statements.size() == 1);
}

TEST_CASE("what cannot be judged keeps its text", "[xt]") {
  for (const std::string_view text :
       {"-m limit --limit 5/min --limit-burst 9", "-m limit ! --limit 5/min",
        "-m connlimit --connlimit-above 5 --connlimit-mask 32 --connlimit-saddr", "-m quota ! --quota 500",
        "-m u32 --u32 \"0x0>>0x16&0x3c@0x4=0x0\"", "-m bpf --bytecode \"1,6 0 0 1\"",
        "-m string --hex-string \"|000178|\" --algo kmp --from 5 --to 9",
        "-m connbytes ! --connbytes 5:6 --connbytes-mode bytes --connbytes-dir both", "-m connlabel --label \"5\"",
        "-m cluster --cluster-total-nodes 2 --cluster-local-nodemask 0x00000001 --cluster-hash-seed 0xdeadbeef",
        "-m unheard-of", "-m unheard-of ! --of 5 --this \"and that\""}) {
    INFO(text);
    CHECK(differences(read(text).statements, {unjudged(std::string(text))}) == "");
    CHECK(differences(read(std::string(text) + " -j DROP").statements,
                      {unjudged(std::string(text)), verdict(walk::Verdict::kDrop)}) == "");
    CHECK_FALSE(read(text).model);
  }
}

TEST_CASE("verdicts, jumps and targets that change nothing are read", "[xt]") {
  using walk::Verdict;
  check({
      {"-j ACCEPT", {verdict(Verdict::kAccept)}, true},
      {"-j DROP", {verdict(Verdict::kDrop)}, true},
      {"-j RETURN", {verdict(Verdict::kReturn)}, true},
      {"-j KUBE-SVC", {verdict(Verdict::kJump, "KUBE-SVC")}, true},
      {"-g KUBE-SVC", {verdict(Verdict::kGoto, "KUBE-SVC")}, true},
      // iptables takes -j anywhere.
      {"-j DROP -i lo", {xt::in_interface("lo", false, false), verdict(Verdict::kDrop)}, true},
      {"-j REJECT --reject-with icmp-port-unreachable", {Refuse{"icmp-port-unreachable"}}, true},
      {"-j REJECT", {Refuse{"icmp-port-unreachable"}}, true},
      {"-j REJECT --reject-with icmp6-port-unreachable", {Refuse{"icmp6-port-unreachable"}}, true, k6},
      {"-j REJECT --reject-with tcp-reset", {Refuse{"tcp-reset"}}},
      {"-j REJECT --reject-with icmp-net-unreachable", {Refuse{"icmp-net-unreachable"}}},
      {"-j REJECT --reject-with icmp-host-unreachable", {Refuse{"icmp-host-unreachable"}}},
      {"-j REJECT --reject-with icmp-proto-unreachable", {Refuse{"icmp-proto-unreachable"}}},
      {"-j REJECT --reject-with icmp-net-prohibited", {Refuse{"icmp-net-prohibited"}}},
      {"-j REJECT --reject-with icmp-host-prohibited", {Refuse{"icmp-host-prohibited"}}},
      {"-j REJECT --reject-with icmp-admin-prohibited", {Refuse{"icmp-admin-prohibited"}}},
      {"-j REJECT --reject-with icmp6-no-route", {Refuse{"icmp6-no-route"}}, false, k6},
      {"-j REJECT --reject-with icmp6-adm-prohibited", {Refuse{"icmp6-adm-prohibited"}}, false, k6},
      {"-j REJECT --reject-with icmp6-addr-unreachable", {Refuse{"icmp6-addr-unreachable"}}, false, k6},
      {"-j REJECT --reject-with icmp6-policy-fail", {Refuse{"icmp6-policy-fail"}}, false, k6},
      {"-j REJECT --reject-with icmp6-reject-route", {Refuse{"icmp6-reject-route"}}, false, k6},
      {"-j NOTRACK", {NoTrack{}}},
      {"-j CT --notrack", {NoTrack{}}},
      {"-j CT --zone 5", {NoEffect{}}},
      {"-j CT --helper ftp", {NoEffect{}}},
      {"-j NFQUEUE --queue-num 0", {verdict(Verdict::kQueue)}},
      {"-j NFQUEUE --queue-balance 1:5 --queue-bypass", {verdict(Verdict::kQueueBypass)}},
      {"-j QUEUE", {verdict(Verdict::kQueue)}},
      {"-j SYNPROXY --sack-perm --mss 1460", {verdict(Verdict::kStolen)}},
      {"-j LOG --log-prefix \"a -j b \" --log-level 7", {NoEffect{}}},
      {"-j NFLOG --nflog-prefix -g --nflog-group 5", {NoEffect{}}},
      {"-j TEE --gateway 10.0.0.1", {NoEffect{}}},
      {"-j TRACE", {NoEffect{}}},
      {"-j CHECKSUM --checksum-fill", {NoEffect{}}},
      {"-j TCPMSS --clamp-mss-to-pmtu", {NoEffect{}}},
      {"-j TTL --ttl-set 64", {xt::set_ttl(k4, 64)}},
      {"-j HL --hl-dec 1", {xt::set_ttl(k6, std::nullopt)}, false, k6},
      {"-j TOS --set-tos 0x04/0x05", {xt::set_tos(k4, 4, 5)}},
      {"-j DSCP --set-dscp 0x2e", {xt::set_tos(k4, 0xb8, 0xfc)}},
      {"-j CLASSIFY --set-class 0001:0002", {xt::other_target("CLASSIFY", "-j CLASSIFY --set-class 0001:0002")}},
      {"-j UNHEARD --of 5", {OtherTarget{"-j UNHEARD --of 5"}}},
      {"-j", {OtherTarget{"-j"}}},
      {"-j DROP -j ACCEPT", {verdict(Verdict::kDrop), OtherTarget{"-j ACCEPT"}}},
  });
}

TEST_CASE("marks are changed as the kernel does", "[xt]") {
  check({
      {"-j MARK --set-xmark 0x4000/0x4000", {xt::set_mark(0x4000, 0x4000)}, true},
      {"-j MARK --set-mark 0x4/0x3", {xt::set_mark(4, 7)}, true},
      {"-j MARK --set-mark 4", {xt::set_mark(4, 0xffffffff)}, true},
      {"-j MARK --and-mark 0xf", {xt::set_mark(0, 0xfffffff0)}, true},
      {"-j MARK --or-mark 0x5", {xt::set_mark(5, 5)}, true},
      {"-j MARK --xor-mark 0x6", {xt::set_mark(6, 0)}, true},
      {"-j MARK --set-mark nothing", {xt::other_target("MARK", "-j MARK --set-mark nothing")}},
      {"-j CONNMARK --set-xmark 0x1/0x2", {xt::set_connmark(1, 2)}},
      {"-j CONNMARK --and-mark 0xf", {xt::set_connmark(0, 0xfffffff0)}},
      {"-j CONNMARK --save-mark --nfmask 0x1 --ctmask 0x2", {xt::save_mark(2, 1)}},
      {"-j CONNMARK --restore-mark --nfmask 0x1 --ctmask 0x2", {xt::restore_mark(2, 1)}},
      {"-j CONNMARK --save-mark", {xt::save_mark(0xffffffff, 0xffffffff)}},
      {"-j CONNMARK --restore-mark --mask 0xff", {xt::restore_mark(0xff, 0xff)}},
      {"-j CONNMARK --set-xmark 0x5/0xffffffff --left-shift-mark 4", {xt::set_connmark(5, 0xffffffff, 4)}},
      {"-j CONNMARK --save-mark --nfmask 0x1 --ctmask 0x2 --right-shift-mark 3", {xt::save_mark(2, 1, -3)}},
      {"-j CONNMARK --save-mark --restore-mark",
       {xt::other_target("CONNMARK", "-j CONNMARK --save-mark --restore-mark")}},
  });
}

TEST_CASE("translations are read in all forms", "[xt]") {
  const auto nat = [](Nat::Kind kind, std::string_view first, std::string_view last, std::uint16_t port,
                      std::uint16_t last_port, bool random = false, bool persistent = false) -> Statement {
    const auto to = [](std::string_view text) { return text.empty() ? std::nullopt : Address::parse(text); };
    const auto number = [](std::uint16_t value) { return value == 0 ? std::nullopt : std::optional(value); };
    return xt::nat(kind, to(first), to(last), number(port), number(last_port), random, persistent);
  };
  using enum Nat::Kind;
  Tproxy plain, full;
  plain.port = make(Constant{Bytes::network(15006, 2)});
  plain.mark = 0x539;
  plain.mark_mask = 0xffffffff;
  full.address = make(Constant{Bytes(address("10.0.0.1").octets())});
  check({
      {"-j DNAT --to-destination 10.0.0.1:80", {nat(kDestination, "10.0.0.1", "", 80, 0)}, true},
      {"-j DNAT --to-destination 10.0.0.1", {nat(kDestination, "10.0.0.1", "", 0, 0)}, true},
      {"-j DNAT --to-destination [fd00::1]:80", {nat(kDestination, "fd00::1", "", 80, 0)}, true, k6},
      {"-j DNAT --to-destination fd00::1", {nat(kDestination, "fd00::1", "", 0, 0)}, true, k6},
      {"-j DNAT --to-destination fd00::1-fd00::9", {nat(kDestination, "fd00::1", "fd00::9", 0, 0)}, false, k6},
      {"-j DNAT --to-destination [fd00::1-fd00::9]:80-90",
       {nat(kDestination, "fd00::1", "fd00::9", 80, 90)},
       false,
       k6},
      {"-j DNAT --to-destination 10.0.0.1:80 --random", {nat(kDestination, "10.0.0.1", "", 80, 0, true)}},
      {"-j DNAT --to-destination 10.0.0.1:80 --persistent", {nat(kDestination, "10.0.0.1", "", 80, 0, false, true)}},
      {"-j DNAT --to-destination 10.0.0.1-10.0.0.4:80", {nat(kDestination, "10.0.0.1", "10.0.0.4", 80, 0)}},
      {"-j DNAT --to-destination 10.0.0.1:9000-9010", {nat(kDestination, "10.0.0.1", "", 9000, 9010)}},
      {"-j DNAT --to-destination 10.0.0.1:80-90/85", {nat(kDestination, "10.0.0.1", "", 80, 90, true)}},
      {"-j DNAT --to-destination :8443", {nat(kDestination, "", "", 8443, 0)}},
      {"-j DNAT --to-destination :80-90", {nat(kDestination, "", "", 80, 90)}, false, k6},
      {"-j SNAT --to-source 10.0.0.1-10.0.0.9:80-90 --random-fully",
       {nat(kSource, "10.0.0.1", "10.0.0.9", 80, 90, true)}},
      {"-j SNAT --to-source 10.0.0.1 --persistent", {nat(kSource, "10.0.0.1", "", 0, 0, false, true)}},
      {"-j SNAT --to-source :80-90 --random", {nat(kSource, "", "", 80, 90, true)}},
      {"-j SNAT --to-source [fd00::1]:80-90", {nat(kSource, "fd00::1", "", 80, 90)}, false, k6},
      {"-j MASQUERADE", {nat(kMasquerade, "", "", 0, 0)}, true},
      {"-j MASQUERADE --random-fully", {nat(kMasquerade, "", "", 0, 0, true)}, true},
      {"-j MASQUERADE --to-ports 80-90 --random", {nat(kMasquerade, "", "", 80, 90, true)}},
      {"-j REDIRECT", {nat(kRedirect, "", "", 0, 0)}},
      {"-j REDIRECT --to-ports 15001", {nat(kRedirect, "", "", 15001, 0)}},
      {"-j REDIRECT --to-ports 80-90 --random", {nat(kRedirect, "", "", 80, 90, true)}},
      {"-j NETMAP --to 10.1.0.0/16", {xt::netmap(false, address("10.1.0.0"), address("255.255.0.0"))}},
      {"-j TPROXY --on-port 15006 --on-ip 0.0.0.0 --tproxy-mark 0x539/0xffffffff", {plain}},
      {"-j TPROXY --on-port 0 --on-ip 10.0.0.1 --tproxy-mark 0x0/0x0", {full}},
      // Never a wrong endpoint.
      {"-j DNAT", {OtherTarget{"-j DNAT"}}},
      {"-j DNAT --to-destination fd00::1", {OtherTarget{"-j DNAT --to-destination fd00::1"}}},
      {"-j DNAT --to-destination 10.0.0.1:99999", {OtherTarget{"-j DNAT --to-destination 10.0.0.1:99999"}}},
      {"-j DNAT --to-destination 10.0.0.1 --strange", {OtherTarget{"-j DNAT --to-destination 10.0.0.1 --strange"}}},
      {"-j SNAT --to-source", {OtherTarget{"-j SNAT --to-source"}}},
      {"-j NETMAP --to 10.1.0.0/40", {OtherTarget{"-j NETMAP --to 10.1.0.0/40"}}},
  });
}

TEST_CASE("what iptables-save itself could not read is told", "[xt]") {
  for (const std::string_view text : {"-p tcp -m tcp -j DNAT [unsupported revision]",
                                      "-p tcp -m tcp -j DNAT --to-destination :0 --persistent --to-destination :0 "
                                      "--persistent --to-destination 0.0.0.0:0",
                                      "-j MASQUERADE [unsupported revision]"}) {
    INFO(text);
    const WalkRule rule = read(text);
    const auto* other = std::get_if<OtherTarget>(&rule.statements.back());
    REQUIRE(other != nullptr);
    CHECK(other->text.find("iptables-save itself could not read it") != std::string::npos);
    CHECK_FALSE(rule.model);
  }
  const WalkRule rule = read("-m recent [unsupported revision] -j DROP");
  REQUIRE(rule.statements.size() == 2);
  const auto* part = std::get_if<Unjudged>(&rule.statements.front());
  REQUIRE(part != nullptr);
  CHECK(part->text.find("iptables-save itself could not read it") != std::string::npos);
}

TEST_CASE("what the model has, statements say in the same way", "[xt]") {
  for (const std::string_view text :
       {"-s 10.0.0.0/8 ! -d 10.0.0.1/32 -i lo ! -o eth+ -p tcp -m comment --comment \"a b\" -m tcp --dport 80 -j DROP",
        "-m mark ! --mark 0x4000/0x4000 -j RETURN", "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-m addrtype --dst-type LOCAL -j KUBE-SVC",
        "-m statistic --mode random --probability 0.33333333349 -j KUBE-SVC",
        "-m recent --rcheck --seconds 10800 --reap --name KUBE-SEP --mask 255.255.255.255 --rsource -j KUBE-SVC",
        "-m recent --set --name KUBE-SEP --mask 255.255.255.255 --rsource",
        "-p udp -m multiport --dports 80,81 -g KUBE-SVC", "-j MARK --set-xmark 0x0/0xffffffff",
        "-j MASQUERADE --random-fully", "-p tcp -m tcp -j DNAT --to-destination 10.0.0.1:80",
        "-j REJECT --reject-with icmp-port-unreachable"}) {
    INFO(text);
    const WalkRule rule = read(text);
    REQUIRE(rule.model);
    CHECK(to_text(*rule.model, k4) == text);
    const WalkRule made = xt::walk_rule(*rule.model, k4);
    CHECK(differences(rule.statements, made.statements) == "");
    CHECK(rule.comment == made.comment);
  }
}

TEST_CASE("hostile rules end", "[xt]") {
  const auto repeated = [](std::string_view part, std::size_t times) {
    std::string text;
    for (std::size_t i = 0; i < times; ++i) text += part;
    return text;
  };
  constexpr std::size_t kMany = 100'000;
  CHECK(read(repeated("! ", kMany)).statements.size() >= 1);
  CHECK(read(repeated("-m ", kMany)).statements.size() >= 1);
  CHECK(read(repeated("-j ", kMany)).statements.size() >= 1);
  CHECK(read(repeated("-m tcp --dport 1 ", kMany)).statements.size() >= kMany);
  CHECK(read("-m comment --comment \"" + repeated("\\", kMany)).comment.size() == kMany / 2);
  CHECK(read("-m comment --comment " + repeated("\"", kMany)).statements.size() <= kMany);
  CHECK(read("-m unheard " + repeated("--a b ", kMany)).statements.size() == 1);
  CHECK(read("-m multiport --dports " + repeated("1,", kMany) + "1").statements.size() == 1);
  CHECK(read("-s " + repeated("1", kMany)).statements.size() == 1);
  CHECK(read("-j DNAT --to-destination " + repeated("[", kMany)).statements.size() == 1);
  CHECK(read(std::string_view("-i \0lo", 6)).statements.size() == 1);
  for (const std::string_view text :
       {"-j DNAT --to-destination [", "-j DNAT --to-destination ]:", "-s /", "-s 1/", "-p ''", "-m time --datestart -",
        "-m time --datestart 99999999999-1-1", "-m mac --mac-source :::::", "-m multiport --dports ,",
        "-m set --match-set A", "-m iprange --src-range -", "-m dscp --dscp-class AF99", "-j TPROXY --on-port 70000"})
    CHECK(read(text).statements.size() >= 1);
}
