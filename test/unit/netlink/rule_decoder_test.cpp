#include "netlink/iptables/rule_decoder.h"

#include <cstdio>  // FILE, for the headers of libnftnl

#include <libnftnl/expr.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <catch2/catch.hpp>
#include <string>

#include "netlink/iptables/xt_layouts.h"
#include "test/unit/netlink/expressions.h"
#include "test/unit/netlink/sample_rules.h"

using namespace kubenatd;
namespace xt = netlink::iptables::xt;
using netlink::iptables::RuleForm;
using rules::Family;
using test::bytes_of;
using test::decoded;
using test::Expression;
using test::expressions;

namespace {

Expression meta(std::uint32_t key, std::uint32_t destination = NFT_REG_1) {
  return {"meta", {{NFTNL_EXPR_META_KEY, key}, {NFTNL_EXPR_META_DREG, destination}}, {}};
}
Expression payload(std::uint32_t base, std::uint32_t offset, std::uint32_t size) {
  return {"payload",
          {{NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1},
           {NFTNL_EXPR_PAYLOAD_BASE, base},
           {NFTNL_EXPR_PAYLOAD_OFFSET, offset},
           {NFTNL_EXPR_PAYLOAD_LEN, size}},
          {}};
}
Expression header(std::uint32_t offset, std::uint32_t size) {
  return payload(NFT_PAYLOAD_NETWORK_HEADER, offset, size);
}
Expression mask(const std::string& bits, std::string flip = {}) {
  flip.resize(bits.size());
  return {"bitwise",
          {{NFTNL_EXPR_BITWISE_SREG, NFT_REG_1},
           {NFTNL_EXPR_BITWISE_DREG, NFT_REG_1},
           {NFTNL_EXPR_BITWISE_LEN, static_cast<std::uint32_t>(bits.size())}},
          {{NFTNL_EXPR_BITWISE_MASK, bits}, {NFTNL_EXPR_BITWISE_XOR, flip}}};
}
Expression compare(const std::string& value, std::uint32_t operation = NFT_CMP_EQ, std::uint32_t source = NFT_REG_1) {
  return {"cmp", {{NFTNL_EXPR_CMP_SREG, source}, {NFTNL_EXPR_CMP_OP, operation}}, {{NFTNL_EXPR_CMP_DATA, value}}};
}
Expression counter() {
  return {"counter", {}, {}};
}
Expression verdict(int code) {
  return {"immediate",
          {{NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT}, {NFTNL_EXPR_IMM_VERDICT, static_cast<std::uint32_t>(code)}},
          {}};
}
template <class Info>
Expression match(const std::string& name, std::uint32_t revision, const Info& info) {
  return {"match",
          {{NFTNL_EXPR_MT_REV, revision}},
          {{NFTNL_EXPR_MT_NAME, name + '\0'}, {NFTNL_EXPR_MT_INFO, bytes_of(info)}}};
}
template <class Info>
Expression target(const std::string& name, std::uint32_t revision, const Info& info) {
  return {"target",
          {{NFTNL_EXPR_TG_REV, revision}},
          {{NFTNL_EXPR_TG_NAME, name + '\0'}, {NFTNL_EXPR_TG_INFO, bytes_of(info)}}};
}
const std::string kTcp(1, '\x06');

bool is_opaque(const std::vector<Expression>& list, Family family = Family::kIpv4) {
  const rules::Rule rule = decoded(expressions(list), family);
  rules::Rule bare = rule;
  bare.opaque.clear();
  return !rule.opaque.empty() && bare == rules::Rule{};
}

/// The rule that `list` decodes to; fails when it is opaque.
rules::Rule understood(const std::vector<Expression>& list, Family family = Family::kIpv4) {
  rules::Rule rule = decoded(expressions(list), family);
  CHECK_THAT(rule.opaque, Catch::Equals(std::string()));
  return rule;
}

}  // namespace

TEST_CASE("Every sample decodes to itself, and not to the same rule of another family") {
  for (const Family family : rules::kFamilies)
    for (const auto& sample : test::sample_rules(family)) {
      INFO(sample.text);
      for (const auto form : {RuleForm::kPortable, RuleForm::kNative})
        CHECK(decoded(test::encoded(sample.rule, family, form), family) == sample.rule);
    }
}

TEST_CASE("Counters are read and are not part of the rule") {
  rules::Rule rule;
  netlink::iptables::RuleCounters counters;
  rule.opaque = "left over";
  rule.matches = {rules::MarkMatch{}};
  Expression counted = counter();
  const std::uint64_t packets = 7, bytes = 1ULL << 40;
  counted.bytes = {{NFTNL_EXPR_CTR_PACKETS, bytes_of(packets)}, {NFTNL_EXPR_CTR_BYTES, bytes_of(bytes)}};
  netlink::iptables::decode_rule(expressions({counted, verdict(NF_DROP)}), Family::kIpv4, rule, counters);
  CHECK(counters.packets == packets);
  CHECK(counters.bytes == bytes);
  CHECK(rule == understood({verdict(NF_DROP)}));
}

TEST_CASE("Forms of other versions and of nft are understood") {
  SECTION("interface padded to 16 bytes") {
    CHECK(understood({meta(NFT_META_OIFNAME), compare(std::string("eth0") + std::string(12, '\0'))}).out_interface ==
          rules::InterfaceMatch{"eth0", false, false});
  }
  SECTION("protocol read from the IPv4 header") {
    CHECK(understood({header(9, 1), compare(kTcp)}).protocol == rules::Protocol::kTcp);
    CHECK(is_opaque({header(9, 1), compare(kTcp)}, Family::kIpv6));
  }
  SECTION("whole address with a mask of whole bytes") {
    CHECK(understood(
              {header(12, 4), mask("\xff\xff\xff" + std::string(1, '\0')), compare(std::string("\x0a\x01\x02") + '\0')})
              .source == test::address_match("10.1.2.0/24"));
  }
  SECTION("mark loaded and compared") {
    const std::uint32_t bits = 0x4000;
    CHECK(understood({meta(NFT_META_MARK), mask(bytes_of(bits)), compare(bytes_of(bits), NFT_CMP_NEQ)}).matches ==
          std::vector<rules::Match>{rules::MarkMatch{0x4000, 0x4000, true}});
    CHECK(understood({meta(NFT_META_MARK), compare(bytes_of(bits))}).matches ==
          std::vector<rules::Match>{rules::MarkMatch{0x4000, 0xffffffff, false}});
  }
  SECTION("ports loaded and compared") {
    for (const auto protocol : {rules::Protocol::kTcp, rules::Protocol::kUdp})
      CHECK(understood({meta(NFT_META_L4PROTO), compare(std::string(1, static_cast<char>(protocol))),
                        payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2), compare(std::string("\x1f\x90", 2))})
                .matches == std::vector<rules::Match>{rules::PortMatch{protocol, 8080}});
  }
  SECTION("both, behind another match, as iptables 1.8.9 writes them") {
    const std::uint32_t bits = 0x12;
    CHECK(understood({meta(NFT_META_L4PROTO), compare(kTcp), match("comment", 0, xt::Comment{}),
                      payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2), compare(std::string("\0\x50", 2)),
                      meta(NFT_META_MARK), compare(bytes_of(bits)), counter(), verdict(NF_DROP)}) ==
          understood({meta(NFT_META_L4PROTO), compare(kTcp), match("comment", 0, xt::Comment{}),
                      match("tcp", 0, xt::Tcp{{0, 0xffff}, {80, 80}, 0, 0, 0, 0, 0}),
                      match("mark", 1, xt::Mark{0x12, 0xffffffff, 0, {}}), counter(), verdict(NF_DROP)}));
  }
  SECTION("DNAT of older revisions") {
    xt::NatRange4 four;
    four.flags = 3;
    four.first = four.last = {10, 0, 0, 1};
    four.first_port = four.last_port = {0, 80};
    CHECK(understood({target("DNAT", 0, four)}).target ==
          rules::Target(rules::DnatTarget{*rules::Address::parse("10.0.0.1"), 80}));
    CHECK(is_opaque({target("DNAT", 0, four)}, Family::kIpv6));
    xt::NatRange six;
    six.flags = 3;
    six.first = six.last = rules::Address::parse("fd00::1")->bytes;
    six.first_port = six.last_port = {1, 0};
    CHECK(understood({target("DNAT", 1, six)}, Family::kIpv6).target ==
          rules::Target(rules::DnatTarget{*rules::Address::parse("fd00::1"), 256}));
  }
}

TEST_CASE("Expressions beyond the model make the rule opaque and empty") {
  const std::string four("\x0a\x00\x00\x01", 4);
  CHECK(is_opaque({meta(NFT_META_L4PROTO), compare(kTcp, NFT_CMP_NEQ)}));
  CHECK(is_opaque({meta(NFT_META_L4PROTO), compare(std::string(1, '\x2f'))}));
  CHECK(is_opaque({meta(NFT_META_L4PROTO), compare(kTcp), meta(NFT_META_L4PROTO), compare(kTcp)}));
  CHECK(is_opaque({meta(NFT_META_L4PROTO)}));
  CHECK(is_opaque({meta(NFT_META_L4PROTO, NFT_REG_2), compare(kTcp)}));
  CHECK(is_opaque({meta(NFT_META_L4PROTO), compare(kTcp, NFT_CMP_EQ, NFT_REG_2)}));
  CHECK(is_opaque({meta(NFT_META_L4PROTO), counter(), verdict(NF_DROP)}));
  CHECK(is_opaque({meta(NFT_META_IIF), compare(four)}));
  CHECK(is_opaque({compare(four)}));
  CHECK(is_opaque({header(12, 4), mask(std::string(4, '\0')), compare(std::string(4, '\0'))}));
  CHECK(is_opaque({header(12, 4), compare(four, NFT_CMP_LT)}));
  CHECK(is_opaque({header(12, 4), compare(four.substr(0, 3))}));
  CHECK(is_opaque({header(13, 4), compare(four)}));
  CHECK(is_opaque({header(12, 8), compare(four + four)}));
  CHECK(is_opaque({header(12, 4), mask("\xff\xff\xff\x7f"), compare(four)}));
  CHECK(is_opaque({header(12, 4), mask(std::string("\xff\x00\xff\x00", 4)), compare(std::string("\x0a\0\0\0", 4))}));
  CHECK(is_opaque({header(12, 4), mask(std::string("\xff\x00\x00\x00", 4)), compare(four)}));
  CHECK(is_opaque({header(12, 4), mask("\xff\xff\xff\xff", std::string(1, '\x01')), compare(four)}));
  CHECK(is_opaque({meta(NFT_META_IIFNAME), compare(std::string("eth0\0x", 6))}));
  CHECK(is_opaque({meta(NFT_META_IIFNAME), compare(std::string("\0\0\0\0", 4))}));
  CHECK(is_opaque({payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2), compare(std::string("\0\x50", 2))}));
  CHECK(is_opaque({verdict(NF_DROP), verdict(NF_DROP)}));
  CHECK(is_opaque({verdict(NFT_CONTINUE)}));
  CHECK(is_opaque({verdict(NFT_JUMP)}));  // to no chain
  CHECK(is_opaque({target("REJECT", 0, xt::Reject{0, 0})}));
  CHECK(is_opaque({target("LOG", 0, xt::Reject{})}));
  CHECK(is_opaque({{"masq", {}, {}}}));
}

TEST_CASE("A header match behind another match is opaque: the order may matter") {
  const auto recent = [] {
    xt::Recent info;
    info.check_set = xt::Recent::kSet;
    info.name[0] = 'a';
    info.mask.fill(0xff);
    return match("recent", 1, info);
  };
  CHECK(understood({meta(NFT_META_L4PROTO), compare(kTcp), recent()}).matches.size() == 1);
  CHECK(is_opaque({recent(), meta(NFT_META_L4PROTO), compare(kTcp)}));
}

TEST_CASE("Fields of extensions that the model has no word for make the rule opaque") {
  const auto tcp_rule = [](auto change) {
    xt::Tcp info;
    change(info);
    return std::vector<Expression>{meta(NFT_META_L4PROTO), compare(kTcp), match("tcp", 0, info)};
  };
  CHECK(understood(tcp_rule([](xt::Tcp&) {})).matches.size() == 1);
  CHECK(is_opaque(tcp_rule([](xt::Tcp& info) { info.sources[1] = 80; })));
  CHECK(is_opaque(tcp_rule([](xt::Tcp& info) { info.destinations = {80, 81}; })));
  CHECK(is_opaque(tcp_rule([](xt::Tcp& info) { info.flag_mask = 2; })));
  CHECK(is_opaque(tcp_rule([](xt::Tcp& info) { info.invert = 1; })));
  CHECK(is_opaque({match("tcp", 0, xt::Tcp{})}));  // without -p tcp

  const auto recent = [](auto change) {
    xt::Recent info;
    info.check_set = xt::Recent::kCheck;
    info.name[0] = 'a';
    info.mask.fill(0xff);
    change(info);
    return std::vector<Expression>{match("recent", 1, info)};
  };
  CHECK(understood(recent([](xt::Recent&) {})).matches.size() == 1);
  CHECK(understood(recent([](xt::Recent& info) { info.mask[4] = 0; })).matches.size() == 1);
  CHECK(is_opaque(recent([](xt::Recent& info) { info.mask[3] = 0; })));
  CHECK(is_opaque(recent([](xt::Recent& info) { info.hits = 1; })));
  CHECK(is_opaque(recent([](xt::Recent& info) { info.side = 1; })));
  CHECK(is_opaque(recent([](xt::Recent& info) { info.invert = 1; })));
  CHECK(is_opaque(recent([](xt::Recent& info) { info.check_set = 4; })));
  CHECK(is_opaque(recent([](xt::Recent& info) { info.name.fill('x'); })));

  xt::Conntrack conntrack;
  conntrack.match = 0x2001;
  conntrack.states = 8;
  CHECK(is_opaque({match("conntrack", 3, conntrack)}));
  // States without a name, and none.
  conntrack.match = 1;
  for (const int states : {0, 0x208}) {
    conntrack.states = static_cast<std::uint16_t>(states);
    CHECK(is_opaque({match("conntrack", 3, conntrack)}));
  }
  conntrack.states = 0x108;
  CHECK_FALSE(is_opaque({match("conntrack", 3, conntrack)}));
  xt::AddrType type;
  CHECK(is_opaque({match("addrtype", 1, type)}));
  type.destination = 0x20;
  CHECK(is_opaque({match("addrtype", 1, type)}));
  xt::Multiport ports{xt::Multiport::kDestination, 16, {}, {}, 0};
  CHECK(is_opaque({meta(NFT_META_L4PROTO), compare(kTcp), match("multiport", 1, ports)}));
  xt::NatRange2 range;
  range.flags = 3;
  range.last[0] = 1;
  CHECK(is_opaque({target("DNAT", 2, range)}));
  CHECK(is_opaque({match("comment", 1, xt::Comment{})}));
  CHECK(is_opaque({match("comment", 0, std::uint32_t{0x01010101})}));  // no end
  CHECK(is_opaque({match("statistic", 0, std::uint32_t{0})}));         // cut
}

TEST_CASE("The description of an opaque rule names its expressions and stays short and printable") {
  CHECK(decoded(expressions({meta(NFT_META_IIF), compare("\x01\x02\x03\x04"), match("bad\x01name", 0, 0)})).opaque ==
        "not of iptables' form: meta cmp bad?name");
  std::vector<Expression> many(500, match("abcdefgh", 0, 0));
  CHECK(decoded(expressions(many)).opaque.size() < 256);
}
