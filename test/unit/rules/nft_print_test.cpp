#include <linux/netfilter/nf_tables.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "rules/address.h"
#include "rules/walk/nft/rule_print.h"

using kubenatd::rules::Address;
using namespace kubenatd::rules::walk;

namespace {

Bytes ip(const char* text) {
  return Bytes(Address::parse(text)->octets());
}
Bytes port(std::uint16_t number) {
  return Bytes::network(number, 2);
}
Bytes byte(std::uint8_t number) {
  return Bytes::network(number, 1);
}
ExpressionPtr meta(std::uint32_t key) {
  return make(Meta{key});
}
ExpressionPtr network(std::uint16_t offset, std::uint16_t size) {
  return make(Payload{Payload::Base::kNetwork, offset, size});
}
ExpressionPtr transport(std::uint16_t offset, std::uint16_t size) {
  return make(Payload{Payload::Base::kTransport, offset, size});
}
Statement equals(ExpressionPtr left, const Bytes& value, bool negate = false) {
  return Condition{std::move(left), {{value, value}}, negate, Part::kOther};
}
ExpressionPtr mark_bits(std::uint32_t mask, std::uint32_t flip) {
  return make(Bits{meta(NFT_META_MARK), Bytes::host(mask), Bytes::host(flip)});
}
Statement is_tcp() {
  return equals(meta(NFT_META_L4PROTO), byte(6));
}
ExpressionPtr service() {
  return make(Concat{{network(16, 4), meta(NFT_META_L4PROTO), transport(2, 2)}});
}

WalkTable table(TableFamily family) {
  WalkTable made;
  made.family = family;
  WalkSet anonymous;
  anonymous.name = "__set0";
  anonymous.parts = {2};
  anonymous.anonymous = true;
  anonymous.elements = {{port(80), port(80), {}, {}, {}, false}, {port(1000), port(2000), {}, {}, {}, false}};
  made.sets["__set0"] = anonymous;
  WalkSet verdicts = anonymous;
  verdicts.name = "__map0";
  verdicts.is_map = verdicts.has_verdicts = true;
  verdicts.elements = {{port(80), port(80), {}, ToVerdict{Verdict::kJump, "web"}, {}, false}};
  verdicts.catch_all = SetElement{{}, {}, {}, ToVerdict{Verdict::kDrop, {}}, {}, false};
  made.sets["__map0"] = verdicts;
  return made;
}

struct Case {
  const char* text;
  std::vector<Statement> statements;
  TableFamily family = TableFamily::kIp;
};

std::vector<Case> conditions() {
  return {
      {"tcp dport 80", {is_tcp(), equals(transport(2, 2), port(80))}},
      {"tcp dport != 80 drop", {is_tcp(), equals(transport(2, 2), port(80), true), ToVerdict{Verdict::kDrop, {}}}},
      {"meta l4proto tcp accept", {is_tcp(), ToVerdict{Verdict::kAccept, {}}}},
      {"meta l4proto tcp", {is_tcp()}},
      {"th dport 80", {equals(transport(2, 2), port(80))}},
      {"tcp dport 1-1024", {is_tcp(), Condition{transport(2, 2), {{port(1), port(1024)}}, false, Part::kOther}}},
      {"tcp dport >= 1024", {is_tcp(), Condition{transport(2, 2), {{port(1024), port(65535)}}, false, Part::kOther}}},
      {"tcp dport { 80, 1000-2000 }", {is_tcp(), InSet{transport(2, 2), "__set0", false, Part::kSet}}},
      {"tcp dport vmap { 80 : jump web, * : drop }", {is_tcp(), VerdictMap{transport(2, 2), "__map0"}}},
      {"ip saddr 10.0.0.0/8", {equals(network(12, 1), byte(10))}},
      {"ip saddr != 10.0.0.0/12",
       {equals(make(Bits{network(12, 4), ip("255.240.0.0"), ip("0.0.0.0")}), ip("10.0.0.0"), true)}},
      {"ip saddr & 255.0.255.0 == 10.0.1.0",
       {equals(make(Bits{network(12, 4), ip("255.0.255.0"), ip("0.0.0.0")}), ip("10.0.1.0"))}},
      {"ip6 daddr fd00::/64", {equals(network(24, 8), Bytes::network(0xfd00000000000000, 8))}, TableFamily::kIp6},
      {"ip daddr 10.0.0.1",
       {equals(meta(NFT_META_NFPROTO), byte(2)), equals(network(16, 4), ip("10.0.0.1"))},
       TableFamily::kInet},
      {"@nh,128,32 0x0a000001", {equals(network(16, 4), ip("10.0.0.1"))}, TableFamily::kInet},
      {"ip dscp cs1", {equals(make(Bits{network(1, 1), byte(0xfc), byte(0)}), byte(0x20))}},
      {"iifname \"pod*\"", {equals(make(Slice{meta(NFT_META_IIFNAME), 0, 3}), Bytes(std::string_view("pod")))}},
      {"iifname != \"lo\"",
       {equals(meta(NFT_META_IIFNAME), Bytes(std::string_view("lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16)), true)}},
      {"ct state established,new",
       {equals(make(Bits{make(Ct{}), Bytes::host(10), Bytes::host(0)}), Bytes::host(0), true)}},
      {"ct state ! new", {equals(make(Bits{make(Ct{}), Bytes::host(8), Bytes::host(0)}), Bytes::host(0))}},
      {"ct state == new", {equals(make(Ct{}), Bytes::host(8))}},
      {"ct status dnat",
       {equals(make(Bits{make(Ct{NFT_CT_STATUS, {}}), Bytes::host(32), Bytes::host(0)}), Bytes::host(0), true)}},
      {"tcp flags syn / fin,syn", {is_tcp(), equals(make(Bits{transport(13, 1), byte(3), byte(0)}), byte(2))}},
      {"meta mark & 0x00004000 != 0x00000000", {equals(mark_bits(0x4000, 0), Bytes::host(0), true)}},
      {"meta mark 0x00000001-0x0000000a",
       {Condition{
           make(Swap{meta(NFT_META_MARK), 4}), {{Bytes::network(1, 4), Bytes::network(10, 4)}}, false, Part::kMark}}},
      {"fib daddr type local", {equals(make(Fib{NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_DADDR}), Bytes::host(2))}},
      {"fib saddr . iif oif missing",
       {equals(make(Fib{NFT_FIB_RESULT_OIF, NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF | NFTA_FIB_F_PRESENT}), byte(0))}},
      {"ip daddr . meta l4proto . th dport @external goto external",
       {InSet{service(), "external", false, Part::kSet}, ToVerdict{Verdict::kGoto, "external"}}},
      {"ip saddr != @nodes", {InSet{network(12, 4), "nodes", true, Part::kSet}}},
      {"limit rate 1/second drop", {Unjudged{"limit rate 1/second", Part::kOther}, ToVerdict{Verdict::kDrop, {}}}},
      {"numgen random mod 4 2", {equals(make(Draw{Draw::Kind::kRandom, 4, 0, {}}), Bytes::host(2))}},
      {"tcp option maxseg size 1-500",
       {Condition{
           make(ExtensionHeader{NFT_EXTHDR_OP_TCPOPT, 2, 2, 2, false}), {{port(1), port(500)}}, false, Part::kOther}}},
  };
}

std::vector<Case> actions() {
  const ExpressionPtr endpoint = make(MapLookup{make(Concat{{network(16, 4), meta(NFT_META_L4PROTO), transport(2, 2),
                                                             make(Draw{Draw::Kind::kRandom, 4, 0, {}})}}),
                                                "endpoints", 8});
  Nat mapped;
  mapped.address = make(Slice{endpoint, 0, 4});
  mapped.port = make(Slice{endpoint, 4, 2});
  Nat fixed;
  fixed.address = make(Constant{ip("10.0.0.1")});
  fixed.port = make(Constant{port(80)});
  Nat six = fixed;
  six.address = make(Constant{ip("fd00::1")});
  Nat range = fixed;
  range.last_address = make(Constant{ip("10.0.0.5")});
  range.last_port = make(Constant{port(90)});
  range.random = range.persistent = true;
  Nat masquerade;
  masquerade.kind = Nat::Kind::kMasquerade;
  Nat random = masquerade;
  random.random = true;
  Nat redirect;
  redirect.kind = Nat::Kind::kRedirect;
  redirect.port = make(Constant{port(8080)});
  return {
      {"meta mark set meta mark | 0x00004000", {SetMeta{NFT_META_MARK, mark_bits(~0x4000U, 0x4000)}}},
      {"meta mark set meta mark ^ 0x00004000", {SetMeta{NFT_META_MARK, mark_bits(~0U, 0x4000)}}},
      {"meta mark set meta mark & 0x000000ff", {SetMeta{NFT_META_MARK, mark_bits(0xff, 0)}}},
      {"meta mark set 0x00000001", {SetMeta{NFT_META_MARK, make(Constant{Bytes::host(1)})}}},
      {"ct mark set meta mark", {SetCt{NFT_CT_MARK, meta(NFT_META_MARK)}}},
      {"meta priority set none", {SetMeta{NFT_META_PRIORITY, make(Constant{Bytes::host(0)})}}},
      {"meta priority set ip daddr . meta l4proto . th dport map @sticky",
       {SetMeta{NFT_META_PRIORITY, make(MapLookup{service(), "sticky", 4})}}},
      {"ip dscp set cs1",
       {SetPayload{{Payload::Base::kNetwork, 0, 2},
                   make(Bits{network(0, 2), Bytes::network(0xff03, 2), Bytes::network(0x0020, 2)})}}},
      {"dnat ip to ip daddr . meta l4proto . th dport . numgen random mod 4 map @endpoints", {mapped}},
      {"dnat to 10.0.0.1:80", {fixed}},
      {"dnat ip to 10.0.0.1:80", {fixed}, TableFamily::kInet},
      {"dnat ip6 to [fd00::1]:80", {six}, TableFamily::kInet},
      {"dnat to 10.0.0.1-10.0.0.5:80-90 random,persistent", {range}},
      {"masquerade", {masquerade}},
      {"masquerade fully-random", {random}},
      {"redirect to :8080", {redirect}},
      {"reject", {Refuse{"icmp-port-unreachable"}}},
      {"reject with icmp port-unreachable", {Refuse{"icmp-port-unreachable"}}, TableFamily::kInet},
      {"reject with icmpx admin-prohibited", {Refuse{"icmpx-admin-prohibited"}}, TableFamily::kInet},
      {"reject with tcp reset", {Refuse{"tcp-reset"}}},
      {"notrack", {NoTrack{}}},
      {"jump pods", {ToVerdict{Verdict::kJump, "pods"}}},
      {"log prefix \"x\" return", {NoEffect{"log prefix \"x\""}, ToVerdict{Verdict::kReturn, {}}}},
      {"update @affinity { ip saddr . meta l4proto }",
       {UpdateSet{"affinity", make(Concat{{network(12, 4), meta(NFT_META_L4PROTO)}}), {}}}},
  };
}

}  // namespace

TEST_CASE("nft print: conditions are in nft's words") {
  for (const Case& example : conditions()) {
    INFO(example.text);
    CHECK(nft::to_text(example.statements, table(example.family)) == example.text);
  }
}

TEST_CASE("nft print: what is done is in nft's words") {
  for (const Case& example : actions()) {
    INFO(example.text);
    CHECK(nft::to_text(example.statements, table(example.family)) == example.text);
  }
}

TEST_CASE("nft print: elements are written by the types of their set") {
  WalkSet set;
  set.parts = {4, 1, 2, 4};
  set.type = "ipv4_addr . inet_proto . inet_service . mark";
  set.is_map = true;
  set.data_type = "ipv4_addr . inet_service";
  SetElement element;
  element.first = ip("10.96.0.10");
  element.first.append(Bytes::network(0x06000000, 4));
  element.first.append(Bytes::network(0x00500000, 4));
  element.first.append(Bytes::host(2));
  element.last = element.first;
  element.comment = "demo/web:http";
  element.data = ip("10.244.1.5");
  element.data.append(Bytes::network(0x1f900000, 4));
  CHECK(nft::to_text(element, set) ==
        "10.96.0.10 . tcp . 80 . 0x00000002 comment \"demo/web:http\" : 10.244.1.5 . 8080");

  WalkSet blocks;
  blocks.parts = {4};
  blocks.type = "ipv4_addr";
  blocks.interval = true;
  CHECK(nft::to_text({ip("10.0.0.0"), ip("10.255.255.255"), {}, {}, {}, false}, blocks) == "10.0.0.0/8");
  CHECK(nft::to_text({ip("10.0.0.1"), ip("10.0.0.7"), {}, ToVerdict{Verdict::kJump, "x"}, {}, false}, blocks) ==
        "10.0.0.1-10.0.0.7 : jump x");
  blocks.type.clear();
  CHECK(nft::to_text({ip("10.0.0.1"), ip("10.0.0.1"), {}, {}, {}, false}, blocks) == "0x0a000001");
}

TEST_CASE("nft print: a tree whose levels name the one below twice ends") {
  ExpressionPtr tree = meta(NFT_META_MARK);
  for (int i = 0; i < 64; ++i) tree = make(BitsOfTwo{BitsOfTwo::Operation::kXor, tree, tree});
  const std::string text =
      nft::to_text({equals(tree, Bytes::host(1)), is_tcp(), equals(tree, Bytes::host(1))}, table(TableFamily::kIp));
  CHECK(text.size() < 100'000);
  CHECK(text.find("...") != std::string::npos);
}
