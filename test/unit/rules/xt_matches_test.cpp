#include <catch2/catch.hpp>

#include "test/unit/rules/xt_statements.h"

namespace kubenatd::rules::walk::xt {
namespace {

using namespace test;  // NOLINT: what the tests of statements share

TEST_CASE("xt matches: addresses are the bytes of the header that the prefix needs") {
  Condition made = condition(source(Prefix::host(kFour), false));
  CHECK(what<Payload>(made.left) == Payload{kNetwork, 12, 4});
  CHECK(ranges(made) == "0a010203");
  CHECK_FALSE(made.negate);
  CHECK(made.part == Part::kSource);

  made = condition(destination(Prefix::of(kFour, 24), true));
  CHECK(what<Payload>(made.left) == Payload{kNetwork, 16, 3});
  CHECK(ranges(made) == "0a0102");
  CHECK(made.negate);
  CHECK(made.part == Part::kDestination);

  made = condition(destination(Prefix::of(kFour, 20), false));
  CHECK(hex(what<Bits>(made.left).mask) == "fffff000");
  CHECK(hex(what<Bits>(made.left).flip) == "00000000");
  CHECK(what<Payload>(what<Bits>(made.left).of) == Payload{kNetwork, 16, 4});
  CHECK(ranges(made) == "0a010000");

  CHECK(what<Payload>(condition(source(Prefix::host(kSix), false)).left) == Payload{kNetwork, 8, 16});
  CHECK(what<Payload>(condition(destination(Prefix::of(kSix, 32), false)).left) == Payload{kNetwork, 24, 4});
}

TEST_CASE("xt matches: a mask with holes stays a mask and any address fits one of no bits") {
  Condition made = condition(address_masked(true, *Address::parse("10.9.2.9"), *Address::parse("255.0.255.0"), true));
  CHECK(hex(what<Bits>(made.left).mask) == "ff00ff00");
  CHECK(ranges(made) == "0a000200");
  CHECK(made.negate);
  made = condition(address_masked(false, kFour, *Address::parse("255.255.0.0"), false));
  CHECK(what<Payload>(made.left) == Payload{kNetwork, 16, 2});
  made = condition(address_masked(false, kFour, *Address::parse("0.0.0.0"), true));
  CHECK(what<Constant>(made.left).bytes == made.ranges.at(0).first);
  CHECK(made.negate);
}

TEST_CASE("xt matches: interfaces are whole names or their beginnings") {
  Condition made = condition(in_interface("eth0", false, true));
  CHECK(what<Meta>(made.left).key == NFT_META_IIFNAME);
  CHECK(ranges(made) == "65746830000000000000000000000000");
  CHECK(made.negate);
  CHECK(made.part == Part::kInInterface);

  made = condition(out_interface("veth", true, false));
  CHECK(what<Slice>(made.left).offset == 0);
  CHECK(what<Slice>(made.left).size == 4);
  CHECK(what<Meta>(what<Slice>(made.left).of).key == NFT_META_OIFNAME);
  CHECK(ranges(made) == "76657468");
  CHECK(made.part == Part::kOutInterface);

  CHECK(what<Constant>(condition(in_interface("", true, true)).left).bytes.size == 1);
  CHECK(condition(in_interface("a-name-longer-than-the-kernel-has", false, false)).ranges.at(0).first.size == 16);
}

TEST_CASE("xt matches: a protocol is one byte and number 0 is every one") {
  const Condition made = condition(protocol(47, Family::kIpv4, true));
  CHECK(what<Meta>(made.left).key == NFT_META_L4PROTO);
  CHECK(ranges(made) == "2f");
  CHECK(made.negate);
  CHECK(made.part == Part::kProtocol);
  CHECK(what<Constant>(condition(protocol(0, Family::kIpv6, false)).left).bytes.size == 1);
}

TEST_CASE("xt matches: a first packet is no fragment") {
  CHECK(std::holds_alternative<Never>(fragment(false)));
  const Condition made = condition(fragment(true));
  CHECK(what<Constant>(made.left).bytes == made.ranges.at(0).first);
  CHECK_FALSE(made.negate);
}

TEST_CASE("xt matches: ports are in network order") {
  Condition made = condition(ports(true, {{80, 80}, {1024, 65535}}, true));
  CHECK(what<Payload>(made.left) == Payload{kTransport, 0, 2});
  CHECK(ranges(made) == "0050 0400-ffff");
  CHECK(made.negate);
  CHECK(made.part == Part::kSourcePort);
  made = condition(ports(false, {{443, 443}}, false));
  CHECK(what<Payload>(made.left) == Payload{kTransport, 2, 2});
  CHECK(made.part == Part::kDestinationPort);

  const AnyOf either = any_of(either_port({{53, 53}}, true));
  REQUIRE(either.conditions.size() == 2);
  CHECK(either.negate);
  CHECK(what<Payload>(either.conditions[0].left).offset == 0);
  CHECK(what<Payload>(either.conditions[1].left).offset == 2);
  CHECK_FALSE(either.conditions[1].negate);
}

TEST_CASE("xt matches: tcp flags and options") {
  const Condition flags = condition(tcp_flags(0x17, 0x02, true));
  CHECK(what<Payload>(what<Bits>(flags.left).of) == Payload{kTransport, 13, 1});
  CHECK(hex(what<Bits>(flags.left).mask) == "17");
  CHECK(ranges(flags) == "02");
  CHECK(flags.negate);

  const Condition option = condition(tcp_option(5, true));
  CHECK(what<ExtensionHeader>(option.left).operation == NFT_EXTHDR_OP_TCPOPT);
  CHECK(what<ExtensionHeader>(option.left).type == 5);
  CHECK(what<ExtensionHeader>(option.left).presence);
  CHECK(ranges(option) == "01");
  CHECK(option.negate);
}

TEST_CASE("xt matches: marks are numbers of the host") {
  Condition made = condition(mark(0x4000, 0x4000, true));
  CHECK(what<Meta>(what<Bits>(made.left).of).key == NFT_META_MARK);
  CHECK(what<Bits>(made.left).mask == Bytes::host(0x4000));
  CHECK(made.ranges.at(0).first == Bytes::host(0x4000));
  CHECK(made.negate);
  CHECK(made.part == Part::kMark);
  CHECK(what<Meta>(condition(mark(1, 0xffffffff, false)).left).key == NFT_META_MARK);

  made = condition(connmark(2, 0xff, true));
  CHECK(what<Ct>(what<Bits>(made.left).of).key == NFT_CT_MARK);
  CHECK(made.negate);
}

TEST_CASE("xt matches: states are bits of the state and of the status") {
  Condition made = condition(connection_state(kStateNew | kStateRelated | 0x100, false));
  CHECK(what<Ct>(what<Bits>(made.left).of).key == NFT_CT_STATE);
  CHECK(what<Bits>(made.left).mask == Bytes::host(8 | 4 | 64));
  CHECK(made.ranges.at(0).first == Bytes::host(0));
  CHECK(made.negate);  // not none of the bits
  CHECK(made.part == Part::kState);
  CHECK_FALSE(condition(connection_state(kStateInvalid, true)).negate);

  AnyOf any = any_of(connection_state(kStateNew | kStateDnat, true));
  REQUIRE(any.conditions.size() == 2);
  CHECK(any.negate);
  CHECK(what<Bits>(any.conditions[0].left).mask == Bytes::host(8));
  CHECK(what<Ct>(what<Bits>(any.conditions[1].left).of).key == NFT_CT_STATUS);
  CHECK(what<Bits>(any.conditions[1].left).mask == Bytes::host(32));
  any = any_of(connection_state(kStateSnat, false));
  REQUIRE(any.conditions.size() == 1);
  CHECK(what<Bits>(any.conditions[0].left).mask == Bytes::host(16));
}

TEST_CASE("xt matches: what the connection is") {
  Condition made = condition(connection_status(4, true));
  CHECK(what<Ct>(what<Bits>(made.left).of).key == NFT_CT_STATUS);
  CHECK_FALSE(made.negate);
  // NONE is no bit, which no connection has set.
  made = condition(connection_status(0, false));
  CHECK(what<Bits>(made.left).mask == Bytes::host(0));
  CHECK(made.negate);

  made = condition(connection_protocol(6, true));
  CHECK(what<Ct>(made.left) == Ct{NFT_CT_PROTOCOL, Ct::Direction::kOriginal});
  CHECK(ranges(made) == "06");
  CHECK(made.negate);

  const Address mask = *Address::parse("255.255.0.0");
  made = condition(connection_address(true, false, *Address::parse("10.1.0.0"), mask, true));
  CHECK(what<Ct>(what<Bits>(made.left).of) == Ct{NFT_CT_DST_IP, Ct::Direction::kOriginal});
  CHECK(hex(what<Bits>(made.left).mask) == "ffff0000");
  CHECK(made.negate);
  Address whole = kSix;
  whole.bytes.fill(0xff);
  made = condition(connection_address(false, true, kSix, whole, false));
  CHECK(what<Ct>(made.left) == Ct{NFT_CT_SRC_IP6, Ct::Direction::kReply});

  made = condition(connection_ports(false, true, 80, 90, true));
  CHECK(what<Ct>(made.left) == Ct{NFT_CT_PROTO_SRC, Ct::Direction::kReply});
  CHECK(ranges(made) == "0050-005a");
  CHECK(made.negate);

  made = condition(connection_direction(true));
  CHECK(what<Ct>(made.left).key == NFT_CT_DIRECTION);
  CHECK(ranges(made) == "00");
  CHECK(ranges(condition(connection_direction(false))) == "01");

  const AnyOf any = any_of(or_without_connection(connection_protocol(6, true)));
  REQUIRE(any.conditions.size() == 2);
  CHECK_FALSE(any.negate);
  CHECK(what<Bits>(any.conditions[0].left).mask == Bytes::host(64 | 1));
  CHECK(any.conditions[1].negate);
}

TEST_CASE("xt matches: types of addresses are asked of the routes") {
  Condition made = condition(address_type(false, 1U << 2U | 1U << 5U, true, true, false));
  CHECK(what<Fib>(made.left) == Fib{NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_DADDR | NFTA_FIB_F_IIF});
  CHECK(made.ranges.at(0).first == Bytes::host(2));
  CHECK(made.ranges.at(1).second == Bytes::host(5));
  CHECK(made.negate);
  CHECK(made.part == Part::kDestinationType);
  made = condition(address_type(true, 1U << 2U, false, false, true));
  CHECK(what<Fib>(made.left).flags == (NFTA_FIB_F_SADDR | NFTA_FIB_F_OIF));
  CHECK(made.part == Part::kSourceType);

  // Local and unicast at once: neither of them is wrong.
  AnyOf any = any_of(address_type(false, 1U << 1U | 1U << 2U, false, false, false, Family::kIpv6));
  CHECK(any.negate);
  REQUIRE(any.conditions.size() == 2);
  CHECK(what<Payload>(any.conditions[0].left) == Payload{kNetwork, 24, 16});
  CHECK(any.conditions[0].ranges.size() == 3);
  CHECK_FALSE(any.conditions[0].negate);
  CHECK(what<Fib>(any.conditions[1].left).flags == NFTA_FIB_F_DADDR);
  CHECK(any.conditions[1].negate);
  any = any_of(address_type(true, 1U << 5U, true, false, false, Family::kIpv6));
  CHECK_FALSE(any.negate);
  CHECK(what<Payload>(any.conditions.at(0).left) == Payload{kNetwork, 8, 1});
  CHECK(any.conditions.at(0).negate);
}

TEST_CASE("xt matches: ranges of addresses and lengths") {
  Condition made = condition(address_range(true, kFour, *Address::parse("10.1.2.9"), true));
  CHECK(what<Payload>(made.left) == Payload{kNetwork, 12, 4});
  CHECK(ranges(made) == "0a010203-0a010209");
  CHECK(made.negate);
  CHECK(what<Payload>(condition(address_range(false, kSix, kSix, false)).left) == Payload{kNetwork, 24, 16});

  made = condition(length(40, 1500, true));
  CHECK(what<Swap>(made.left).unit == 4);
  CHECK(what<Meta>(what<Swap>(made.left).of).key == NFT_META_LEN);
  CHECK(ranges(made) == "00000028-000005dc");
  CHECK(made.negate);
}

TEST_CASE("xt matches: the time to live is compared in four ways") {
  CHECK(what<Payload>(condition(ttl(Compare::kEqual, 64, Family::kIpv4)).left) == Payload{kNetwork, 8, 1});
  CHECK(what<Payload>(condition(ttl(Compare::kEqual, 64, Family::kIpv6)).left) == Payload{kNetwork, 7, 1});
  CHECK(ranges(condition(ttl(Compare::kEqual, 64, Family::kIpv4))) == "40");
  CHECK(condition(ttl(Compare::kNotEqual, 64, Family::kIpv4)).negate);
  CHECK(ranges(condition(ttl(Compare::kLess, 64, Family::kIpv4))) == "00-3f");
  CHECK(ranges(condition(ttl(Compare::kGreater, 64, Family::kIpv4))) == "41-ff");
  CHECK(condition(ttl(Compare::kLess, 0, Family::kIpv4)).ranges.empty());
  CHECK(condition(ttl(Compare::kGreater, 255, Family::kIpv4)).ranges.empty());
}

TEST_CASE("xt matches: the traffic class lies elsewhere in IPv6") {
  Condition made = condition(dscp(46, Family::kIpv4, true));
  CHECK(what<Payload>(what<Bits>(made.left).of) == Payload{kNetwork, 1, 1});
  CHECK(hex(what<Bits>(made.left).mask) == "fc");
  CHECK(ranges(made) == "b8");
  CHECK(made.negate);
  made = condition(dscp(46, Family::kIpv6, false));
  CHECK(what<Payload>(what<Bits>(made.left).of) == Payload{kNetwork, 0, 2});
  CHECK(hex(what<Bits>(made.left).mask) == "0fc0");
  CHECK(ranges(made) == "0b80");
  made = condition(tos(0x10, 0x3f, Family::kIpv4, true));
  CHECK(hex(what<Bits>(made.left).mask) == "3f");
  CHECK(ranges(made) == "10");
  CHECK(made.negate);
  CHECK(ranges(condition(tos(0x10, 0x3f, Family::kIpv6, false))) == "0100");
}

TEST_CASE("xt matches: kinds of packets and cards") {
  Condition made = condition(packet_type(2, true));
  CHECK(what<Meta>(made.left).key == NFT_META_PKTTYPE);
  CHECK(ranges(made) == "02");
  CHECK(made.negate);
  made = condition(source_mac(std::string_view("\x02\0\0\0\0\x07", 6), true));
  CHECK(what<Payload>(made.left) == Payload{Payload::Base::kLink, 6, 6});
  CHECK(ranges(made) == "020000000007");
  CHECK(made.negate);
}

}  // namespace
}  // namespace kubenatd::rules::walk::xt
