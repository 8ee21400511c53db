#include "netlink/walk/xt_reader.h"

#include <linux/netfilter/nf_tables.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "netlink/iptables/xt_layouts.h"
#include "netlink/walk/xt_part.h"
#include "netlink/walk/xt_target_layouts.h"

namespace kubenatd::netlink::walk {
namespace {

using rules::Family;
using namespace rules::walk;  // NOLINT: the statements of this test
namespace known = iptables::xt;

template <class Layout>
std::string bytes_of(const Layout& layout) {
  return {reinterpret_cast<const char*>(&layout), sizeof layout};
}

template <class Layout>
XtPart match(std::string_view name, std::uint32_t revision, const Layout& layout, Family family = Family::kIpv4) {
  return read_xt_match(name, revision, bytes_of(layout), family);
}
template <class Layout>
XtPart target(std::string_view name, std::uint32_t revision, const Layout& layout, Family family = Family::kIpv4) {
  return read_xt_target(name, revision, bytes_of(layout), family);
}

template <class What>
What only(const XtPart& part) {
  REQUIRE(part.statements.size() == 1);
  REQUIRE(std::holds_alternative<What>(part.statements[0]));
  return std::get<What>(part.statements[0]);
}

template <class What>
What expression(const ExpressionPtr& of) {
  REQUIRE(of != nullptr);
  REQUIRE(std::holds_alternative<What>(of->what));
  return std::get<What>(of->what);
}

Bytes port(std::uint16_t number) {
  return Bytes::network(number, 2);
}

TEST_CASE("xt reader: tcp with ports flags and an option") {
  known::Tcp tcp;
  tcp.sources = {1000, 2000};
  tcp.destinations = {80, 80};
  tcp.flag_mask = 0x17;
  tcp.flag_compare = 0x02;
  tcp.option = 5;
  tcp.invert = 1 | 8;
  const XtPart part = match("tcp", 0, tcp);
  CHECK(part.text == "-m tcp ! --sport 1000:2000 --dport 80 ! --tcp-option 5 --tcp-flags FIN,SYN,RST,ACK SYN");
  REQUIRE(part.statements.size() == 4);
  const auto source = std::get<Condition>(part.statements[0]);
  CHECK(source.negate);
  CHECK(source.ranges == std::vector<std::pair<Bytes, Bytes>>{{port(1000), port(2000)}});
  const auto destination = std::get<Condition>(part.statements[1]);
  CHECK_FALSE(destination.negate);
  CHECK(destination.part == Part::kDestinationPort);
  CHECK(std::get<Condition>(part.statements[2]).negate);
  CHECK_FALSE(std::get<Condition>(part.statements[3]).negate);

  CHECK(match("tcp", 0, known::Tcp{}).statements.empty());
  tcp = {};
  tcp.flag_mask = 0xff;
  tcp.invert = 4;
  CHECK(match("tcp", 0, tcp).text == "-m tcp ! --tcp-flags FIN,SYN,RST,PSH,ACK,URG,0xc0 NONE");
}

TEST_CASE("xt reader: udp and udplite") {
  known::Udp udp;
  udp.destinations = {53, 54};
  udp.invert = 2;
  CHECK(match("udp", 0, udp).text == "-m udp ! --dport 53:54");
  CHECK(only<Condition>(match("udplite", 0, udp)).negate);
}

TEST_CASE("xt reader: mark and limit that newer iptables writes in other expressions") {
  known::Mark mark;
  mark.value = 0x4000;
  mark.mask = 0x4000;
  mark.invert = 1;
  CHECK(match("mark", 1, mark).text == "-m mark ! --mark 0x4000/0x4000");
  CHECK(only<Condition>(match("mark", 1, mark)).part == Part::kMark);
  CHECK(only<Unjudged>(match("mark", 0, mark)).text == "-m mark (revision 0, not understood)");

  layout::Limit limit{};
  limit.average = 10000 * 60 / 5;
  limit.burst = 9;
  CHECK(only<Unjudged>(match("limit", 0, limit)).text == "-m limit --limit 5/min --limit-burst 9");
  limit.average = 0;
  limit.burst = 5;
  CHECK(match("limit", 0, limit).text == "-m limit --limit inf");
}

TEST_CASE("xt reader: earlier revisions of conntrack and state") {
  layout::Conntrack wanted{};
  constexpr std::uint16_t kState = 1, kOriginalSourcePort = 1U << 8U;
  wanted.match = kState | kOriginalSourcePort;
  wanted.ports[0] = 0x5000;  // 80 in network order
  wanted.last_ports[0] = 7;  // not of these revisions
  wanted.states = 0x0008;
  std::string bytes = bytes_of(wanted).substr(0, layout::kConntrackSize2);
  XtPart part = read_xt_match("conntrack", 2, bytes, Family::kIpv4);
  CHECK(part.text == "-m conntrack --ctstate NEW --ctorigsrcport 80");
  // Beside a state, a packet without a connection passes what else is asked.
  CHECK(std::get<AnyOf>(part.statements.at(1)).conditions.size() == 2);

  bytes = bytes_of(wanted).substr(0, layout::kConntrackSize1);
  bytes[offsetof(layout::Conntrack, states) + 1] = 4;  // status
  constexpr std::uint16_t kStatus = 1U << 6U, kBoth = kState | kStatus;
  std::memcpy(bytes.data() + offsetof(layout::Conntrack, match), &kBoth, sizeof kBoth);
  part = read_xt_match("conntrack", 1, bytes, Family::kIpv4);
  CHECK(part.text == "-m conntrack --ctstate NEW --ctstatus ASSURED");

  part = match("state", 0, layout::State{0x40 | 0x02, 0});
  CHECK(part.text == "-m state --state ESTABLISHED,UNTRACKED");
  const auto state = only<Condition>(part);
  CHECK(expression<Bits>(state.left).mask == Bytes::host(64 | 2));
}

TEST_CASE("xt reader: without a state asked a packet without a connection does not fit") {
  layout::Conntrack wanted{};
  wanted.match = 1U << 1U;
  wanted.protocol = 6;
  const auto condition = only<Condition>(match("conntrack", 3, wanted));
  CHECK(expression<Ct>(condition.left).key == NFT_CT_PROTOCOL);
}

TEST_CASE("xt reader: the first revision of addrtype recent cgroup and sets") {
  const XtPart types = match("addrtype", 0, layout::AddrType0{4, 2, 1, 0, 0});
  CHECK(types.text == "-m addrtype ! --src-type LOCAL --dst-type UNICAST");
  CHECK(types.statements.size() == 2);

  layout::Recent0 recent{};
  recent.check_set = 0x04;
  recent.seconds = 60;
  recent.invert = 1;
  std::memcpy(recent.name.data(), "KNOWN", 5);
  const XtPart old = match("recent", 0, recent);
  CHECK(old.text == "-m recent ! --update --seconds 60 --name KNOWN --mask 255.255.255.255 --rsource");
  CHECK(only<Remembered>(old).negate);

  CHECK(match("cgroup", 0, layout::Number{7, 1}).text == "-m cgroup ! --cgroup 7");

  layout::SetMatch1 set{{5, 2, 1 | 1U << 2U}, 0};
  const XtPart member = match("set", 1, set);
  CHECK(member.text == "-m set ! --match-set #5 dst,src");
  const auto in = only<InIpset>(member);
  CHECK(in.name == "#5");
  CHECK(in.source == std::vector<bool>{false, true});
  CHECK(in.negate);
  CHECK(in.text == member.text);

  layout::SetMatch3 counted{};
  counted.set = {5, 1, 2};
  counted.packets.operation = 4;
  counted.packets.value = 9;
  CHECK(only<Unjudged>(match("set", 3, counted)).text == "-m set --match-set #5 src --packets-gt 9");
  counted.set.dimensions = 200;
  CHECK(only<Unjudged>(match("set", 3, counted)).text == "-m set (revision 3, not understood)");
}

TEST_CASE("xt reader: odds of every nth packet and of a number drawn") {
  known::Statistic statistic;
  statistic.mode = 1;
  statistic.probability = 3;
  CHECK(only<Chance>(match("statistic", 0, statistic)).odds == 0.25);
  statistic.flags = 1;
  CHECK(only<Chance>(match("statistic", 0, statistic)).odds == 0.75);
  statistic.probability = 0xffffffff;
  CHECK(only<Chance>(match("statistic", 0, statistic)).odds < 1);
  statistic.packet = 4;
  statistic.probability = 3;
  CHECK(std::holds_alternative<Unjudged>(match("statistic", 0, statistic).statements.at(0)));
  statistic.probability = 0xffffffff;
  statistic.mode = 0;
  CHECK(only<Unjudged>(match("statistic", 0, statistic)).text == "-m statistic (revision 0, not understood)");
}

TEST_CASE("xt reader: a plain packet of IPv6 has one header") {
  const auto fits = [](std::uint8_t wanted, std::uint8_t invert, std::uint8_t soft) {
    return match("ipv6header", 0, layout::Headers6{wanted, invert, soft, {}}, Family::kIpv6).statements.empty();
  };
  CHECK(fits(1, 0, 0));
  CHECK_FALSE(fits(1, 1, 0));
  CHECK(fits(16, 16, 0));
  CHECK_FALSE(fits(1 | 16, 0, 0));
  CHECK(fits(1, 0, 1));
  CHECK_FALSE(fits(16, 0, 1));
  CHECK(fits(16, 16, 1));
}

TEST_CASE("xt reader: a path back to the source is asked of the routes") {
  CHECK(expression<Fib>(only<Condition>(match("rpfilter", 0, layout::OneByte{})).left) ==
        Fib{NFT_FIB_RESULT_OIF, NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF});
  CHECK(only<Condition>(match("rpfilter", 0, layout::OneByte{})).negate);
  const XtPart loose = match("rpfilter", 0, layout::OneByte{1 | 2 | 4 | 8, {}});
  const auto any = only<AnyOf>(loose);
  CHECK(any.negate);
  CHECK(expression<Fib>(any.conditions.at(0).left).flags == (NFTA_FIB_F_SADDR | NFTA_FIB_F_MARK));
  CHECK(expression<Fib>(any.conditions.at(1).left).result == NFT_FIB_RESULT_ADDRTYPE);
}

TEST_CASE("xt reader: all layouts of address translation") {
  known::NatRange4 old;
  old.flags = known::kNatAddresses | known::kNatPorts;
  old.first = old.last = {10, 0, 0, 1};
  old.first_port = {0, 80};
  old.last_port = {0, 90};
  Nat nat = only<Nat>(target("DNAT", 0, old));
  CHECK(target("DNAT", 0, old).text == "-j DNAT --to-destination 10.0.0.1:80-90");
  CHECK(expression<Constant>(nat.port).bytes == port(80));
  CHECK(expression<Constant>(nat.last_port).bytes == port(90));
  CHECK(nat.last_address == nullptr);
  old.count = 2;
  CHECK(std::holds_alternative<OtherTarget>(target("DNAT", 0, old).statements.at(0)));

  known::NatRange range;
  range.flags = known::kNatAddresses;
  range.first = range.last = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  CHECK(target("SNAT", 1, range, Family::kIpv6).text == "-j SNAT --to-source 2001:db8::1");
  CHECK(expression<Constant>(only<Nat>(target("SNAT", 1, range, Family::kIpv6)).address).bytes.size == 16);

  known::NatRange2 moved;
  moved.flags = known::kNatPorts | 1U << 5U;
  moved.first_port = moved.last_port = {0, 80};
  moved.base_port = {0, 90};
  CHECK(target("DNAT", 2, moved).text == "-j DNAT --to-destination :80/90");
  CHECK(expression<Constant>(only<Nat>(target("DNAT", 2, moved)).port).bytes == port(80));
  CHECK(only<Nat>(target("DNAT", 2, moved)).random);  // a port in the range is not kept

  known::NatRange4 network;
  network.flags = known::kNatAddresses;
  network.first = {10, 0, 0, 0};
  network.last = {10, 0, 0, 255};
  CHECK(target("NETMAP", 0, network).text == "-j NETMAP --to 10.0.0.0/24");
  CHECK(only<Nat>(target("NETMAP", 0, network)).netmap);
  // The address of a redirected packet is the node's, whatever is written there.
  network.flags |= known::kNatPorts;
  network.first_port = network.last_port = {0, 80};
  nat = only<Nat>(target("REDIRECT", 0, network));
  CHECK(nat.kind == Nat::Kind::kRedirect);
  CHECK(nat.address == nullptr);
}

TEST_CASE("xt reader: TPROXY of both revisions") {
  const layout::Tproxy0 old{0xff, 1, {0, 0, 0, 0}, {0x1f, 0x90}, {}};
  Tproxy proxy = only<Tproxy>(target("TPROXY", 0, old));
  CHECK(proxy.address == nullptr);
  CHECK(expression<Constant>(proxy.port).bytes == port(8080));
  CHECK(proxy.mark == 1U);
  CHECK(proxy.mark_mask == 0xffU);
  layout::Tproxy1 other{};
  proxy = only<Tproxy>(target("TPROXY", 1, other));
  CHECK(proxy.port == nullptr);
  CHECK_FALSE(proxy.mark);
}

TEST_CASE("xt reader: marks are moved by the connection's and shifted") {
  layout::Connmark2 mark{0, 0xff00, 0xff, 1, 8, 2, 0};
  const auto set = only<SetMeta>(target("CONNMARK", 2, mark));
  const auto both = expression<BitsOfTwo>(set.value);
  CHECK(expression<Shift>(both.other).by == 8);
  mark.shift = 32;
  CHECK(std::holds_alternative<OtherTarget>(target("CONNMARK", 2, mark).statements.at(0)));
  const layout::Connmark1 old{1, 0xff, 0, 0, {}};
  CHECK(target("CONNMARK", 1, old).text == "-j CONNMARK --set-xmark 0x1/0xff");
}

TEST_CASE("xt reader: queues of all revisions") {
  const layout::Queue queue{3, 4, 1, 0};
  CHECK(target("NFQUEUE", 0, queue).text == "-j NFQUEUE --queue-num 3");
  CHECK(target("NFQUEUE", 1, queue).text == "-j NFQUEUE --queue-balance 3:6");
  CHECK(only<ToVerdict>(target("NFQUEUE", 1, queue)).verdict == Verdict::kQueue);
  CHECK(only<ToVerdict>(target("NFQUEUE", 2, queue)).verdict == Verdict::kQueueBypass);
}

TEST_CASE("xt reader: CT of the first revision and its other name") {
  layout::Ct0 old{};
  old.flags = 1;
  CHECK(target("CT", 0, old).text == "-j CT --notrack");
  CHECK(std::holds_alternative<NoTrack>(target("CT", 0, old).statements.at(0)));
  old.flags = 1 | 2;
  CHECK(target("CT", 0, old).text == "-j NOTRACK");
  CHECK(std::holds_alternative<NoTrack>(read_xt_target("NOTRACK", 0, {}, Family::kIpv4).statements.at(0)));
}

TEST_CASE("xt reader: refusals by their number") {
  known::Reject reject;
  reject.with = 7;
  CHECK(only<Refuse>(target("REJECT", 0, reject)).with == "tcp-reset");
  CHECK(only<Refuse>(target("REJECT", 0, reject, Family::kIpv6)).with == "icmp6-policy-fail");
  reject.with = 4;  // an echo, which the kernel does not take any more: refused all the same
  CHECK(only<Refuse>(target("REJECT", 0, reject)).with.empty());
}

TEST_CASE("xt reader: what is not known is named") {
  const XtPart unknown = read_xt_match("strange\x01thing", 3, "12345678", Family::kIpv4);
  CHECK(unknown.text == "-m strange?thing (revision 3, not understood)");
  CHECK(only<Unjudged>(unknown).text == unknown.text);
  CHECK(only<OtherTarget>(read_xt_target("STRANGE", 0, {}, Family::kIpv4)).text ==
        "STRANGE (revision 0, not understood)");
  CHECK(std::holds_alternative<NoEffect>(read_xt_target("LOG", 9, {}, Family::kIpv4).statements.at(0)));
  CHECK(std::holds_alternative<SetMeta>(read_xt_target("MARK", 0, "12345678", Family::kIpv4).statements.at(0)));
}

TEST_CASE("xt reader: bytes of any content and size are read or named") {
  std::mt19937 random(11);  // NOLINT: the same numbers in each run
  std::uniform_int_distribution<int> byte(0, 255);
  const auto groups = {transport_matches(), header_matches(), connection_matches(), history_matches(),
                       node_matches(),      limit_matches(),  content_matches(),    extension_matches(),
                       nat_targets(),       other_targets(),  header_targets()};
  std::vector<std::size_t> sizes{1, 7, 304, 312, 528, 1984, 4112, 5000};
  for (std::size_t size = 0; size <= 300; size += 8) sizes.push_back(size);
  std::size_t understood = 0;
  for (const auto& group : groups) {
    for (const XtKind& kind : group) {
      for (std::uint32_t revision = kind.first_revision; revision <= kind.last_revision; ++revision) {
        for (const std::size_t size : sizes) {
          std::string info(size, '\0');
          for (char& c : info) c = static_cast<char>(size % 3 == 0 ? byte(random) & byte(random) & 15 : byte(random));
          for (const Family family : rules::kFamilies) {
            const XtPart as_match = read_xt_match(kind.name, revision, info, family);
            const XtPart as_target = read_xt_target(kind.name, revision, info, family);
            REQUIRE(as_match.text.size() > 3);
            REQUIRE_FALSE(as_target.statements.empty());
            if (as_match.text.find("not understood") == std::string::npos) ++understood;
            for (const Statement& statement : as_match.statements)
              if (const auto* unjudged = std::get_if<Unjudged>(&statement)) REQUIRE_FALSE(unjudged->text.empty());
          }
        }
      }
    }
  }
  CHECK(understood > 80);
}

}  // namespace
}  // namespace kubenatd::netlink::walk
