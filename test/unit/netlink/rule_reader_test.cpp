#include "netlink/walk/rule_reader.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>

#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "rules/text.h"
#include "test/support/walk_text.h"
#include "test/unit/netlink/expressions.h"
#include "test/unit/netlink/rule_bytes.h"
#include "test/unit/netlink/sample_rules.h"

using namespace kubenatd;
using namespace kubenatd::test;
using rules::Family;
using rules::walk::Part;
using rules::walk::TableFamily;
using rules::walk::WalkRule;
using rules::walk::WalkSet;
using rules::walk::WalkTable;

namespace {

constexpr std::uint32_t kNetwork = NFT_PAYLOAD_NETWORK_HEADER;
constexpr std::uint32_t kTransport = NFT_PAYLOAD_TRANSPORT_HEADER;
const std::string kAccept = verdict(NF_ACCEPT);

void add_set(WalkTable& table, const std::string& name, std::vector<std::uint16_t> parts, std::uint16_t data = 0,
             bool anonymous = false) {
  WalkSet set;
  set.name = name;
  set.parts = std::move(parts);
  set.data_size = data;
  set.is_map = data != 0;
  set.anonymous = anonymous;
  table.sets.emplace(name, std::move(set));
}

/// A table of that family which is none of iptables'.
WalkTable table_of(TableFamily family) {
  WalkTable table;
  table.family = family;
  table.name = "mine";
  add_set(table, "address", {4});
  add_set(table, "both", {4, 2});
  add_set(table, "named", {2});
  add_set(table, "__set0", {2}, 0, true);
  add_set(table, "verdicts", {4});
  add_set(table, "to", {4}, 8);
  add_set(table, "to6", {16}, 24);
  return table;
}

WalkRule read(const std::string& expressions, TableFamily family = TableFamily::kIp) {
  return netlink::walk::read_rule(expressions, {}, table_of(family));
}

std::string text(const std::string& expressions, TableFamily family = TableFamily::kIp) {
  return walk_text(read(expressions, family).statements);
}

/// The statement at `index` is a Condition on that part.
Part part(const WalkRule& rule, std::size_t index) {
  return std::get<rules::walk::Condition>(rule.statements.at(index)).part;
}

}  // namespace

TEST_CASE("A comparison has the range that the kernel compares with") {
  const std::string load = load_payload(kTransport, 2, 2);
  CHECK(text(load + compare(NFT_CMP_EQ, "0050")) == "transport[2+2] in 0050");
  CHECK(text(load + compare(NFT_CMP_NEQ, "0050")) == "transport[2+2] not in 0050");
  CHECK(text(load + compare(NFT_CMP_LT, "0100")) == "transport[2+2] in 0000-00ff");
  CHECK(text(load + compare(NFT_CMP_LTE, "0100")) == "transport[2+2] in 0000-0100");
  CHECK(text(load + compare(NFT_CMP_GT, "00ff")) == "transport[2+2] in 0100-ffff");
  CHECK(text(load + compare(NFT_CMP_GTE, "00ff")) == "transport[2+2] in 00ff-ffff");
  // Nothing is less than nothing.
  CHECK(text(load + compare(NFT_CMP_LT, "0000")) == "transport[2+2] in");
  CHECK(text(load + compare(NFT_CMP_GT, "ffff")) == "transport[2+2] in");
  const std::string between =
      number(NFTA_RANGE_SREG, NFT_REG_1) + value(NFTA_RANGE_FROM_DATA, "0050") + value(NFTA_RANGE_TO_DATA, "0060");
  CHECK(text(load + expression("range", between + number(NFTA_RANGE_OP, NFT_RANGE_EQ))) ==
        "transport[2+2] in 0050-0060");
  CHECK(text(load + expression("range", between + number(NFTA_RANGE_OP, NFT_RANGE_NEQ))) ==
        "transport[2+2] not in 0050-0060");
}

TEST_CASE("Two bounds on one loaded value are one condition, and on two loads two") {
  const std::string load = load_payload(kTransport, 2, 2);
  const std::string bounds = compare(NFT_CMP_GTE, "0050") + compare(NFT_CMP_LTE, "0060");
  CHECK(text(load + bounds + kAccept) == "transport[2+2] in 0050-0060; accept");
  CHECK(text(load + compare(NFT_CMP_LTE, "0060") + compare(NFT_CMP_GTE, "0050")) == "transport[2+2] in 0050-0060");
  CHECK(text(load + compare(NFT_CMP_GTE, "0060") + compare(NFT_CMP_LTE, "0050")) == "transport[2+2] in");
  CHECK(text(load + compare(NFT_CMP_GTE, "0050") + load + compare(NFT_CMP_LTE, "0060")) ==
        "transport[2+2] in 0050-ffff; transport[2+2] in 0000-0060");
  CHECK(text(load + compare(NFT_CMP_EQ, "0050") + compare(NFT_CMP_LTE, "0060")) ==
        "transport[2+2] in 0050; transport[2+2] in 0000-0060");
  // A drawn number that was drawn once.
  const std::string draw = expression("numgen", number(NFTA_NG_DREG, NFT_REG_1) + number(NFTA_NG_MODULUS, 10) +
                                                    number(NFTA_NG_TYPE, NFT_NG_RANDOM) + number(NFTA_NG_OFFSET, 3));
  CHECK(text(draw + compare(NFT_CMP_GTE, "00000004") + compare(NFT_CMP_LTE, "00000005")) ==
        "random() mod 10 offset 3 in 00000004-00000005");
}

TEST_CASE("A key that fills registers is read back as its parts") {
  // Word 0 is NFT_REG_1, words 1 to 3 have numbers of their own, word 4 is NFT_REG_2.
  const std::string source = load_payload(kNetwork, 12, 4);
  CHECK(text(source + load_payload(kTransport, 2, 2, NFT_REG32_01) + look_up("both")) ==
        "{network[12+4] . transport[2+2]} in @both");
  CHECK(text(source + look_up("address", NFT_LOOKUP_F_INV)) == "network[12+4] not in @address");
  CHECK(text(load_payload(kTransport, 2, 2) + look_up("named")) == "transport[2+2] in @named");
  // Longer than what was loaded: the kernel has filled it up with zeros.
  CHECK(text(load_meta(NFT_META_L4PROTO) + look_up("address")) == "{meta 16} in @address");
  CHECK(text(load_payload(kNetwork, 8, 16, NFT_REG_2) + compare(NFT_CMP_EQ, "11223344", NFT_REG32_05)) ==
        "network[8+16][4+4] in 11223344");
  CHECK(text(load_payload(kNetwork, 8, 16, NFT_REG_2) + compare(NFT_CMP_EQ, "aabbccdd", NFT_REG32_04)) ==
        "network[8+16][0+4] in aabbccdd");
  // What was written last counts.
  CHECK(text(load_payload(kNetwork, 8, 16) + load_meta(NFT_META_MARK, NFT_REG32_01) +
             compare(NFT_CMP_EQ, "00000000111111112222222233333333")) ==
        "{network[8+16][0+4] . meta 3 . network[8+16][8+8]} in 00000000111111112222222233333333");
  // A set that is not in the table has the key that was loaded.
  CHECK(text(load_payload(kTransport, 2, 2) + look_up("elsewhere")) == "transport[2+2] in @elsewhere");
  CHECK(text(compare(NFT_CMP_EQ, "00000000", NFT_REG_3)) == "unread<register that was not loaded:4> in 00000000");
}

TEST_CASE("Fields of a header that nft compares at once are conditions of their own") {
  CHECK(text(load_payload(kTransport, 0, 4) + compare(NFT_CMP_EQ, "00010002") + kAccept) ==
        "transport[0+2] in 0001; transport[2+2] in 0002; accept");
  CHECK(text(load_payload(kNetwork, 12, 8) + compare(NFT_CMP_EQ, "0a0000010a000002")) ==
        "network[12+4] in 0a000001; network[16+4] in 0a000002");
  CHECK(text(load_payload(kNetwork, 8, 16) + compare(NFT_CMP_EQ, "fd000000000000000000000000000001"),
             TableFamily::kIp6) == "network[8+16] in fd000000000000000000000000000001");
  CHECK(text(load_payload(kNetwork, 12, 8) + compare(NFT_CMP_NEQ, "0a0000010a000002")) ==
        "network[12+8] not in 0a0000010a000002");
  // Which header it is is not known.
  CHECK(text(load_payload(kNetwork, 12, 8) + compare(NFT_CMP_EQ, "0a0000010a000002"), TableFamily::kInet) ==
        "network[12+8] in 0a0000010a000002");
  CHECK(text(load_meta(NFT_META_NFPROTO) + compare(NFT_CMP_EQ, "02") + load_payload(kNetwork, 12, 8) +
                 compare(NFT_CMP_EQ, "0a0000010a000002"),
             TableFamily::kInet) == "meta 15 in 02; network[12+4] in 0a000001; network[16+4] in 0a000002");
}

TEST_CASE("Bits, shifts and byte orders are computed in registers") {
  const std::string mark = load_meta(NFT_META_MARK);
  CHECK(text(mark +
             bitwise(NFT_BITWISE_BOOL, 4, value(NFTA_BITWISE_MASK, "ff000000") + value(NFTA_BITWISE_XOR, "01000000")) +
             compare(NFT_CMP_NEQ, "00000000")) == "(meta 3 & ff000000 ^ 01000000) not in 00000000");
  CHECK(text(mark + bitwise(NFT_BITWISE_RSHIFT, 4, value(NFTA_BITWISE_DATA, "08000000")) +
             compare(NFT_CMP_EQ, "01000000")) == "(meta 3 >> 8) in 01000000");
  CHECK(text(load_payload(kNetwork, 1, 1) + bitwise(NFT_BITWISE_LSHIFT, 1, value(NFTA_BITWISE_DATA, "02000000")) +
             compare(NFT_CMP_EQ, "04")) == "({network[1+1]} << 2)[0+1] in 04");
  // More than one register carries over.
  CHECK(text(load_payload(kNetwork, 8, 16) + bitwise(NFT_BITWISE_LSHIFT, 16, value(NFTA_BITWISE_DATA, "02000000")) +
             compare(NFT_CMP_EQ, "00000000000000000000000000000000")) ==
        "unread<shift:16> in 00000000000000000000000000000000");
  // With a second register (Linux 6.13).
  constexpr std::uint16_t kSecond = 8;  // NFTA_BITWISE_SREG2
  const std::string other = expression("ct", number(NFTA_CT_KEY, NFT_CT_MARK) + number(NFTA_CT_DREG, NFT_REG_2));
  const std::string second = number(kSecond, NFT_REG_2);
  CHECK(text(mark + other + bitwise(3, 4, second) + compare(NFT_CMP_EQ, "01000000")) ==
        "(meta 3 and ct 3) in 01000000");
  CHECK(text(mark + other + bitwise(4, 4, second) + compare(NFT_CMP_EQ, "01000000")) == "(meta 3 or ct 3) in 01000000");
  CHECK(text(mark + bitwise(5, 4, value(NFTA_BITWISE_DATA, "05000000")) + compare(NFT_CMP_EQ, "01000000")) ==
        "(meta 3 xor 05000000) in 01000000");
  CHECK(text(mark + bitwise(6, 4, second) + compare(NFT_CMP_EQ, "01000000")) == "unread<bitwise:4> in 01000000");
  const auto swap = [](std::uint32_t size, std::uint32_t unit) {
    return expression("byteorder", number(NFTA_BYTEORDER_SREG, NFT_REG_1) + number(NFTA_BYTEORDER_DREG, NFT_REG_1) +
                                       number(NFTA_BYTEORDER_OP, NFT_BYTEORDER_HTON) +
                                       number(NFTA_BYTEORDER_LEN, size) + number(NFTA_BYTEORDER_SIZE, unit));
  };
  CHECK(text(mark + swap(4, 4) + compare(NFT_CMP_GT, "00000001")) == "swap4(meta 3) in 00000002-ffffffff");
  CHECK(text(mark + swap(3, 2) + compare(NFT_CMP_EQ, "000001")) == "unread<byteorder:3> in 000001");
}

TEST_CASE("Every key of conntrack and the packet has its own size in the registers") {
  const auto ct = [](std::uint32_t key, std::string_view more = {}) {
    return expression("ct", number(NFTA_CT_KEY, key) + number(NFTA_CT_DREG, NFT_REG_1) + std::string(more));
  };
  CHECK(text(ct(NFT_CT_DIRECTION) + compare(NFT_CMP_EQ, "01")) == "ct 1 in 01");
  CHECK(text(ct(NFT_CT_ZONE) + compare(NFT_CMP_EQ, "0300")) == "ct 17 in 0300");
  CHECK(text(ct(NFT_CT_BYTES) + compare(NFT_CMP_EQ, "0000000000000001")) == "ct 15 in 0000000000000001");
  const std::string reply = attribute(NFTA_CT_DIRECTION, std::string(1, '\1'));
  const std::string original = attribute(NFTA_CT_DIRECTION, std::string(1, '\0'));
  CHECK(text(ct(NFT_CT_SRC_IP, reply) + compare(NFT_CMP_EQ, "0a000001")) == "ct 19 reply in 0a000001");
  // NFT_CT_SRC is of the table's family.
  CHECK(text(ct(NFT_CT_SRC, original) + compare(NFT_CMP_EQ, "0a000001")) == "ct 19 original in 0a000001");
  CHECK(text(ct(NFT_CT_DST, original) + compare(NFT_CMP_EQ, "fd000000000000000000000000000001"), TableFamily::kIp6) ==
        "ct 9 original in fd000000000000000000000000000001");
  for (const std::uint32_t key : {NFT_META_IIFNAME, NFT_META_OIFNAME})
    CHECK(text(load_meta(key) + compare(NFT_CMP_EQ, "657468")) == fmt::format("meta {}[0+3] in 657468", key));
  CHECK(text(load_meta(NFT_META_PROTOCOL) + compare(NFT_CMP_EQ, "0800")) == "meta 1 in 0800");
  CHECK(text(load_meta(NFT_META_PKTTYPE) + compare(NFT_CMP_EQ, "01")) == "meta 19 in 01");
  CHECK(text(expression("socket", number(NFTA_SOCKET_KEY, NFT_SOCKET_CGROUPV2) + number(NFTA_SOCKET_DREG, NFT_REG_1) +
                                      number(NFTA_SOCKET_LEVEL, 2)) +
             compare(NFT_CMP_EQ, "0000000000000001")) == "socket 3.2 in 0000000000000001");
  CHECK(text(expression("rt", number(NFTA_RT_KEY, NFT_RT_NEXTHOP4) + number(NFTA_RT_DREG, NFT_REG_1)) +
             compare(NFT_CMP_EQ, "0a000001")) == "rt 1 in 0a000001");
  CHECK(text(expression("fib", number(NFTA_FIB_DREG, NFT_REG_1) + number(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE) +
                                   number(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR | NFTA_FIB_F_IIF)) +
             compare(NFT_CMP_EQ, "02000000")) == "fib 3/a in 02000000");
  const std::string option = number(NFTA_EXTHDR_OP, NFT_EXTHDR_OP_TCPOPT) +
                             attribute(NFTA_EXTHDR_TYPE, std::string(1, '\2')) + number(NFTA_EXTHDR_OFFSET, 2) +
                             number(NFTA_EXTHDR_LEN, 2);
  CHECK(text(expression("exthdr", option + number(NFTA_EXTHDR_DREG, NFT_REG_1)) + compare(NFT_CMP_EQ, "05b4")) ==
        "exthdr 1.2[2+2] in 05b4");
  CHECK(text(expression("exthdr", option + number(NFTA_EXTHDR_DREG, NFT_REG_1) +
                                      number(NFTA_EXTHDR_FLAGS, NFT_EXTHDR_F_PRESENT)) +
             compare(NFT_CMP_EQ, "01")) == "exthdr 1.2[2+2] there in 01");
  CHECK(text(load_value("05b4") + expression("exthdr", option + number(NFTA_EXTHDR_SREG, NFT_REG_1)) + kAccept) ==
        "nothing<tcp option set>; accept");
}

TEST_CASE("What a map gives is taken apart where it is used") {
  const std::string map = load_payload(kNetwork, 16, 4) + map_to("to", NFT_REG_1);
  const auto nat = [](std::uint32_t type, std::string_view more) {
    return expression("nat", number(NFTA_NAT_TYPE, type) + number(NFTA_NAT_FAMILY, NFPROTO_IPV4) + std::string(more));
  };
  const std::string address = number(NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
  CHECK(text(map + nat(NFT_NAT_DNAT, address + number(NFTA_NAT_REG_PROTO_MIN, NFT_REG32_01) +
                                         number(NFTA_NAT_REG_PROTO_MAX, NFT_REG32_01))) ==
        "dnat @to(network[16+4]):8[0+4] port @to(network[16+4]):8[4+2]");
  CHECK(text(map + nat(NFT_NAT_SNAT,
                       address + number(NFTA_NAT_REG_ADDR_MAX, NFT_REG32_01) + number(NFTA_NAT_FLAGS, 1U << 6U))) ==
        "snat @to(network[16+4]):8[0+4]-@to(network[16+4]):8[4+4] netmap");
  // What follows a translation is never met.
  CHECK(text(load_value("0a000001") + nat(NFT_NAT_DNAT, address) + verdict(NF_DROP)) == "dnat 0a000001");
  CHECK(text(load_value("0a000001") + load_value("0050", NFT_REG_2) + load_value("0060", NFT_REG_3) +
             nat(NFT_NAT_DNAT, address + number(NFTA_NAT_REG_PROTO_MIN, NFT_REG_2) +
                                   number(NFTA_NAT_REG_PROTO_MAX, NFT_REG_3) +
                                   number(NFTA_NAT_FLAGS, NF_NAT_RANGE_PERSISTENT | NF_NAT_RANGE_PROTO_RANDOM))) ==
        "dnat 0a000001 port 0050-0060 random persistent");
  // In a table of both families it is for packets of one.
  CHECK(text(load_value("0a000001") + nat(NFT_NAT_DNAT, address), TableFamily::kInet) ==
        "meta 15 in 02; dnat 0a000001");
  CHECK(text(load_meta(NFT_META_NFPROTO) + compare(NFT_CMP_EQ, "02") + load_value("0a000001") +
                 nat(NFT_NAT_DNAT, address),
             TableFamily::kInet) == "meta 15 in 02; dnat 0a000001");
  CHECK(text(load_payload(kNetwork, 16, 4) + map_to("verdicts", NFT_REG_VERDICT)) == "network[16+4] vmap @verdicts");
  // The size of what a map gives is not known.
  CHECK(text(load_payload(kNetwork, 16, 4) + map_to("elsewhere", NFT_REG_1) + compare(NFT_CMP_EQ, "00000000")) ==
        "unjudged<map @elsewhere>; unread<map @elsewhere:64>[0+4] in 00000000");
}

TEST_CASE("Translations, refusals and verdicts of every kind are read") {
  const auto reject = [](std::uint32_t type, char code) {
    return expression("reject",
                      number(NFTA_REJECT_TYPE, type) + attribute(NFTA_REJECT_ICMP_CODE, std::string(1, code)));
  };
  CHECK(text(reject(NFT_REJECT_ICMP_UNREACH, 3)) == "refuse icmp-port-unreachable");
  CHECK(text(reject(NFT_REJECT_ICMP_UNREACH, 13)) == "refuse icmp-admin-prohibited");
  CHECK(text(reject(NFT_REJECT_ICMP_UNREACH, 5)) == "refuse icmp code 5");
  CHECK(text(reject(NFT_REJECT_ICMP_UNREACH, 4), TableFamily::kIp6) == "refuse icmp6-port-unreachable");
  CHECK(text(reject(NFT_REJECT_TCP_RST, 0)) == "refuse tcp-reset");
  CHECK(text(reject(NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_ADMIN_PROHIBITED), TableFamily::kInet) ==
        "refuse icmpx-admin-prohibited");
  CHECK(text(expression("masq", "")) == "masquerade");
  CHECK(text(load_value("0400") + load_value("0800", NFT_REG_2) +
             expression("masq", number(NFTA_MASQ_FLAGS, NF_NAT_RANGE_PROTO_RANDOM_FULLY) +
                                    number(NFTA_MASQ_REG_PROTO_MIN, NFT_REG_1) +
                                    number(NFTA_MASQ_REG_PROTO_MAX, NFT_REG_2))) == "masquerade port 0400-0800 random");
  CHECK(text(load_value("1f90") + expression("redir", number(NFTA_REDIR_REG_PROTO_MIN, NFT_REG_1))) ==
        "redirect port 1f90");
  CHECK(text(expression("queue", short_number(NFTA_QUEUE_NUM, 3))) == "queue");
  CHECK(text(expression("queue",
                        short_number(NFTA_QUEUE_NUM, 3) + short_number(NFTA_QUEUE_FLAGS, NFT_QUEUE_FLAG_BYPASS)) +
             kAccept) == "queue bypass");
  CHECK(text(expression("notrack", "") + kAccept) == "notrack; accept");
  CHECK(text(load_value("7f000001") + load_value("1f90", NFT_REG_2) +
             expression("tproxy", number(NFTA_TPROXY_FAMILY, NFPROTO_IPV4) + number(NFTA_TPROXY_REG_ADDR, NFT_REG_1) +
                                      number(NFTA_TPROXY_REG_PORT, NFT_REG_2)) +
             kAccept) == "tproxy 7f000001 1f90; accept");
  CHECK(text(verdict(NF_DROP) + kAccept) == "drop");
  CHECK(text(verdict(NFT_JUMP, "there")) == "jump there");
  CHECK(text(verdict(NFT_GOTO, "there")) == "goto there");
  CHECK(text(verdict(NFT_RETURN)) == "return");
  CHECK(text(verdict(NFT_CONTINUE) + kAccept) == "continue; accept");
  CHECK(text(verdict(NFT_BREAK) + kAccept) == "never<break>; accept");
  CHECK(text(verdict(NF_QUEUE)) == "queue");
  CHECK(text(verdict(77)) == "unjudged<verdict that is not known>; other<verdict that is not known>");
  CHECK(text(expression("fwd", number(NFTA_FWD_SREG_DEV, NFT_REG_1)), TableFamily::kNetdev) == "stolen");
  CHECK(text(expression("dup", number(NFTA_DUP_SREG_DEV, NFT_REG_1)) + kAccept) == "nothing<dup>; accept");
  CHECK(text(expression("synproxy", number(NFTA_SYNPROXY_FLAGS, 0))) == "meta 16 in 06; stolen");
  // Of the first packet of a connection nothing is offloaded, and the rule ends.
  CHECK(text(expression("flow_offload", word(NFTA_FLOW_TABLE_NAME, "f")) + kAccept) == "never<flow add @f>; accept");
}

TEST_CASE("Marks and header fields that a rule sets have the value that the registers hold") {
  const auto set = [](std::uint32_t key) {
    return expression("meta", number(NFTA_META_KEY, key) + number(NFTA_META_SREG, NFT_REG_1));
  };
  CHECK(text(load_value("10000000") + set(NFT_META_MARK)) == "meta 3 = 10000000");
  CHECK(text(load_meta(NFT_META_MARK) +
             expression("ct", number(NFTA_CT_KEY, NFT_CT_MARK) + number(NFTA_CT_SREG, NFT_REG_1))) == "ct 3 = meta 3");
  CHECK(text(load_payload(kTransport, 2, 2) + set(NFT_META_MARK)) == "meta 3 = {transport[2+2]}");
  CHECK(text(load_value("01") + set(NFT_META_NFTRACE) + set(NFT_META_PKTTYPE)) == "meta 12 = 01; meta 19 = 01");
  CHECK(text(load_value("0a000001") +
             expression("payload", number(NFTA_PAYLOAD_SREG, NFT_REG_1) + number(NFTA_PAYLOAD_BASE, kNetwork) +
                                       number(NFTA_PAYLOAD_OFFSET, 16) + number(NFTA_PAYLOAD_LEN, 4))) ==
        "network[16+4] = 0a000001");
}

TEST_CASE("What depends on what came before is not judged, and what decides nothing does not split") {
  const std::string limit = number64(NFTA_LIMIT_RATE, 10) + number64(NFTA_LIMIT_UNIT, 60) + number(NFTA_LIMIT_BURST, 5);
  CHECK(text(expression("limit", limit) + kAccept) == "unjudged<limit rate 10/minute>; accept");
  CHECK(text(expression("limit", limit + number(NFTA_LIMIT_FLAGS, NFT_LIMIT_F_INV) +
                                     number(NFTA_LIMIT_TYPE, NFT_LIMIT_PKT_BYTES))) ==
        "unjudged<limit rate over 10 bytes/minute burst 5 bytes>");
  CHECK(text(expression("quota", number64(NFTA_QUOTA_BYTES, 100) + number(NFTA_QUOTA_FLAGS, NFT_QUOTA_F_INV))) ==
        "unjudged<quota over 100 bytes>");
  CHECK(text(expression("connlimit", number(NFTA_CONNLIMIT_COUNT, 7))) == "unjudged<ct count 7>");
  const auto object = [](std::uint32_t type) {
    return expression("objref", number(NFTA_OBJREF_IMM_TYPE, type) + word(NFTA_OBJREF_IMM_NAME, "o"));
  };
  for (const std::uint32_t type : {NFT_OBJECT_LIMIT, NFT_OBJECT_QUOTA, NFT_OBJECT_CONNLIMIT, NFT_OBJECT_CT_EXPECT})
    CHECK(std::holds_alternative<rules::walk::Unjudged>(read(object(type)).statements.at(0)));
  for (const std::uint32_t type :
       {NFT_OBJECT_COUNTER, NFT_OBJECT_CT_HELPER, NFT_OBJECT_CT_TIMEOUT, NFT_OBJECT_SECMARK, NFT_OBJECT_TUNNEL})
    CHECK(std::holds_alternative<rules::walk::NoEffect>(read(object(type)).statements.at(0)));
  CHECK(text(object(NFT_OBJECT_SYNPROXY)) == "meta 16 in 06; stolen");
  CHECK(text(load_payload(kTransport, 2, 2) +
             expression("objref", number(NFTA_OBJREF_SET_SREG, NFT_REG_1) + word(NFTA_OBJREF_SET_NAME, "named"))) ==
        "transport[2+2] in @named");
  CHECK(text(expression("log", word(NFTA_LOG_PREFIX, "p") + short_number(NFTA_LOG_GROUP, 3))) ==
        "nothing<log prefix \"p\" group 3>");
  const WalkRule counted =
      read(expression("counter", number64(NFTA_COUNTER_BYTES, 500) + number64(NFTA_COUNTER_PACKETS, 6)) + kAccept);
  REQUIRE(counted.counters);
  CHECK(counted.counters->packets == 6);
  CHECK(counted.counters->bytes == 500);
  CHECK(walk_text(counted.statements) == "accept");
}

TEST_CASE("Elements that packets make carry the condition that is inside them") {
  const std::string limit = word(NFTA_EXPR_NAME, "limit") +
                            attribute(NFTA_EXPR_DATA, number64(NFTA_LIMIT_RATE, 10) + number64(NFTA_LIMIT_UNIT, 1));
  const std::string counter = word(NFTA_EXPR_NAME, "counter") + attribute(NFTA_EXPR_DATA, "");
  const auto dynset = [](std::string_view more, std::uint32_t operation = NFT_DYNSET_OP_UPDATE) {
    return load_payload(kNetwork, 12, 4) +
           expression("dynset", word(NFTA_DYNSET_SET_NAME, "address") + number(NFTA_DYNSET_OP, operation) +
                                    number(NFTA_DYNSET_SREG_KEY, NFT_REG_1) + std::string(more));
  };
  CHECK(text(dynset("") + kAccept) == "update @address network[12+4]; accept");
  CHECK(text(dynset(attribute(NFTA_DYNSET_EXPR, counter))) == "update @address network[12+4]");
  CHECK(text(dynset(attribute(NFTA_DYNSET_EXPR, limit))) == "update @address network[12+4] if <limit rate 10/second>");
  CHECK(text(dynset(attribute(NFTA_DYNSET_EXPRESSIONS,
                              attribute(NFTA_LIST_ELEM, counter) + attribute(NFTA_LIST_ELEM, limit)))) ==
        "update @address network[12+4] if <limit rate 10/second>");
  CHECK(text(dynset("", NFT_DYNSET_OP_DELETE)) == "nothing<delete @address>");
  CHECK(text(dynset(number(NFTA_DYNSET_FLAGS, 1))) == "unjudged<set @address is full>");
}

TEST_CASE("An expression that is not known splits the rule and takes all registers with it") {
  const std::string mark = load_meta(NFT_META_MARK);
  CHECK(text(mark + expression("novelty", "") + compare(NFT_CMP_EQ, "01000000") + kAccept) ==
        "unjudged<novelty>; unread<novelty:4> in 01000000; accept");
  // What is loaded after it is known again.
  CHECK(text(expression("novelty", "") + mark + compare(NFT_CMP_EQ, "01000000") + kAccept) ==
        "unjudged<novelty>; meta 3 in 01000000; accept");
  // At the end of a rule it may be what is done with the packet.
  CHECK(text(mark + compare(NFT_CMP_EQ, "01000000") + expression("novelty", "")) ==
        "meta 3 in 01000000; unjudged<novelty>; other<novelty>");
  CHECK(text(expression(std::string("\x01\n very long name that goes on and on"), "")) ==
        "unjudged<???very?long?name?that?goes?on?a>; other<???very?long?name?that?goes?on?a>");
  CHECK(text(attribute(NFTA_LIST_ELEM, "")) == "unjudged<expression without a name>; other<expression without a name>");
  CHECK(text(mark + compare(NFT_CMP_EQ, "") + kAccept) == "unjudged<cmp>; accept");
  CHECK(text(load_payload(4, 0, 4) + compare(NFT_CMP_EQ, "00000000")) == "unread<payload of a tunnel:4> in 00000000");
  CHECK(text(expression("osf", number(NFTA_OSF_DREG, NFT_REG_1)) + compare(NFT_CMP_EQ, "4c00") + kAccept) ==
        "unread<osf:16>[0+2] in 4c00; accept");
}

TEST_CASE("Values that grow with every expression stay small") {
  // Each lookup takes both halves of the one before.
  std::string bytes = load_payload(kNetwork, 8, 16);
  for (int i = 0; i < 120; ++i) bytes += bitwise(5, 16, number(8, NFT_REG_1));  // reg 1 = reg 1 xor reg 1
  bytes += compare(NFT_CMP_EQ, "00000000000000000000000000000000") + kAccept;
  CHECK(text(bytes).size() < 100'000);
  CHECK(text(bytes).ends_with("; accept"));
  // More expressions than the kernel takes.
  std::string many;
  for (int i = 0; i < 300; ++i) many += expression("log", "");
  CHECK(read(many + kAccept).statements.size() == 258);
  CHECK(walk_text(read(many).statements.back()) == "other<the rest of the rule>");
}

TEST_CASE("People are told which part of the packet decides") {
  const WalkRule rule =
      read(load_payload(kNetwork, 12, 4) + compare(NFT_CMP_EQ, "0a000001") + load_payload(kNetwork, 16, 3) +
           compare(NFT_CMP_EQ, "0a0000") + load_payload(kTransport, 0, 2) + compare(NFT_CMP_EQ, "0001") +
           load_payload(kTransport, 2, 2) + compare(NFT_CMP_EQ, "0001") + load_meta(NFT_META_IIFNAME) +
           compare(NFT_CMP_EQ, "6c6f00") + load_meta(NFT_META_OIF) + compare(NFT_CMP_EQ, "01000000") +
           load_meta(NFT_META_L4PROTO) + compare(NFT_CMP_EQ, "06") + load_meta(NFT_META_LEN) +
           compare(NFT_CMP_EQ, "00000001"));
  const std::vector<Part> expected{Part::kSource,      Part::kDestination,  Part::kSourcePort, Part::kDestinationPort,
                                   Part::kInInterface, Part::kOutInterface, Part::kProtocol,   Part::kOther};
  REQUIRE(rule.statements.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(part(rule, i) == expected[i]);
  CHECK(part(read(load_payload(kNetwork, 24, 16) + compare(NFT_CMP_EQ, "fd000000000000000000000000000001"),
                  TableFamily::kIp6),
             0) == Part::kDestination);
  const auto set_part = [](const std::string& bytes) {
    return std::get<rules::walk::InSet>(read(bytes).statements.at(0)).part;
  };
  CHECK(set_part(load_payload(kTransport, 2, 2) + look_up("__set0")) == Part::kDestinationPort);
  CHECK(set_part(load_payload(kTransport, 2, 2) + look_up("named")) == Part::kSet);
}

TEST_CASE("A rule of iptables that rules can express has its model and its text") {
  for (const Family family : rules::kFamilies)
    for (const SampleRule& sample : sample_rules(family)) {
      WalkTable table;
      table.family = family == Family::kIpv4 ? TableFamily::kIp : TableFamily::kIp6;
      table.name = rules::name_of(sample.table);
      const WalkRule rule = netlink::walk::read_rule(encoded(sample.rule, family), {}, table);
      REQUIRE(rule.model);
      CHECK(*rule.model == sample.rule);
      CHECK(rule.text == sample.text);
      // The same bytes in somebody's own table are no rule of iptables.
      table.name = "mine";
      CHECK_FALSE(netlink::walk::read_rule(encoded(sample.rule, family), {}, table).model);
    }
}

TEST_CASE("Comments are those of iptables' match and of nft's user data") {
  std::string info(256, '\0');
  info.replace(0, 5, "hello");
  const std::string match = expression(
      "match", word(NFTA_MATCH_NAME, "comment") + number(NFTA_MATCH_REV, 0) + attribute(NFTA_MATCH_INFO, info));
  CHECK(read(match + kAccept).comment == "hello");
  const std::string user("\0\4abc\0", 6);
  CHECK(netlink::walk::read_rule(kAccept, user, table_of(TableFamily::kInet)).comment == "abc");
  WalkTable filter;
  filter.name = "filter";
  CHECK(netlink::walk::read_rule(kAccept, {}, filter).model);
  // iptables does not know what nft keeps there.
  CHECK_FALSE(netlink::walk::read_rule(kAccept, user, filter).model);
}

TEST_CASE("Changed bytes never crash the reader") {
  std::mt19937 random(20260111);
  const auto below = [&](std::size_t limit) { return static_cast<std::size_t>(random() % limit); };
  std::vector<std::string> seeds;
  for (const Family family : rules::kFamilies)
    for (const SampleRule& sample : sample_rules(family)) seeds.push_back(encoded(sample.rule, family));
  seeds.push_back(load_payload(kNetwork, 12, 4) + load_payload(kTransport, 2, 2, NFT_REG32_01) + look_up("both") +
                  map_to("to", NFT_REG_1) + bitwise(5, 16, number(8, NFT_REG_1)) + compare(NFT_CMP_LT, "0050") +
                  expression("nat", number(NFTA_NAT_TYPE, NFT_NAT_DNAT) + number(NFTA_NAT_FAMILY, NFPROTO_IPV4) +
                                        number(NFTA_NAT_REG_ADDR_MIN, NFT_REG_1)));
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = seeds[below(seeds.size())];
    if (below(3) == 0) bytes += seeds[below(seeds.size())];
    for (std::size_t changes = 1 + below(8); changes > 0 && !bytes.empty(); --changes) {
      switch (below(4)) {
        case 0: bytes[below(bytes.size())] = static_cast<char>(random()); break;
        case 1: bytes[below(bytes.size())] ^= static_cast<char>(1U << below(8)); break;
        case 2: bytes.erase(below(bytes.size()), below(9)); break;
        default: bytes.insert(below(bytes.size()), bytes.substr(below(bytes.size()), below(40))); break;
      }
    }
    WalkTable table = table_of(static_cast<TableFamily>(below(5)));
    if (below(2) == 0) table.name = "nat";
    // In memory of exactly that size, so that a sanitizer sees every step outside.
    const std::vector<char> exact(bytes.begin(), bytes.end());
    const WalkRule rule = netlink::walk::read_rule({exact.data(), exact.size()}, {}, table);
    CHECK(rule.statements.size() <= bytes.size());
    CHECK(walk_text(rule.statements).size() < 1'000'000);
  }
}

TEST_CASE("A rule of iptables says the same in both of its forms") {
  using netlink::iptables::RuleForm;
  std::size_t different = 0;
  for (const Family family : rules::kFamilies)
    for (const auto& sample : sample_rules(family)) {
      INFO(sample.text);
      WalkTable table = table_of(family == Family::kIpv4 ? TableFamily::kIp : TableFamily::kIp6);
      table.name = rules::name_of(sample.table);
      const std::string portable = encoded(sample.rule, family, RuleForm::kPortable);
      const std::string native = encoded(sample.rule, family, RuleForm::kNative);
      different += portable == native ? 0 : 1;
      const WalkRule one = netlink::walk::read_rule(portable, {}, table);
      const WalkRule other = netlink::walk::read_rule(native, {}, table);
      CHECK(one.text == sample.text);
      CHECK(other.text == sample.text);
      CHECK(walk_text(one.statements) == walk_text(other.statements));
    }
  CHECK(different >= 10);
}
