#include "netlink/iptables/rule_encoder.h"

#include <cstdio>  // FILE, for the headers of libnftnl

#include <libmnl/libmnl.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <sys/socket.h>

#include <bit>
#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "netlink/core/attributes.h"
#include "test/unit/netlink/expressions.h"
#include "test/unit/netlink/sample_rules.h"

using namespace kubenatd;
using netlink::iptables::RuleForm;
using rules::Family;

namespace {

/// The rule as libnftnl prints it, one expression after the other.
std::string nftnl_text(const rules::Rule& rule, Family family, RuleForm form = RuleForm::kPortable) {
  std::vector<char> buffer(65536);
  nlmsghdr* message =
      nftnl_nlmsg_build_hdr(buffer.data(), NFT_MSG_NEWRULE, family == Family::kIpv4 ? AF_INET : AF_INET6, 0, 0);
  char* at = static_cast<char*>(mnl_nlmsg_get_payload_tail(message));
  message->nlmsg_len += static_cast<std::uint32_t>(netlink::iptables::encode_rule(at, rule, family, form) - at);
  const std::unique_ptr<nftnl_rule, void (*)(nftnl_rule*)> parsed(nftnl_rule_alloc(),
                                                                  [](nftnl_rule* freed) { nftnl_rule_free(freed); });
  REQUIRE(nftnl_rule_nlmsg_parse(message, parsed.get()) == 0);
  std::string text;
  nftnl_expr_foreach(
      parsed.get(),
      [](nftnl_expr* expression, void* data) {
        char line[512] = {};
        nftnl_expr_snprintf(line, sizeof line, expression, NFTNL_OUTPUT_DEFAULT, 0);
        static_cast<std::string*>(data)
            ->append("[")
            .append(nftnl_expr_get_str(expression, NFTNL_EXPR_NAME))
            .append(" ")
            .append(line)
            .append("]");
        return 0;
      },
      &text);
  if (nftnl_rule_is_set(parsed.get(), NFTNL_RULE_COMPAT_PROTO))
    text += "[proto " + std::to_string(nftnl_rule_get_u32(parsed.get(), NFTNL_RULE_COMPAT_PROTO)) + "]";
  return text;
}

/// Structure of the rule's only match as hexadecimal digits, behind its name and revision.
std::string match_structure(const rules::Match& match, Family family = Family::kIpv4) {
  rules::Rule rule;
  if (const auto* port = std::get_if<rules::PortMatch>(&match)) rule.protocol = port->protocol;
  rule.matches = {match};
  const std::string bytes = test::encoded(rule, family);
  std::string text;
  netlink::Attribute element;
  for (netlink::AttributeReader reader(bytes); reader.next(element);) {
    if (netlink::find_attribute(element.payload, NFTA_EXPR_NAME).text() != "match") continue;
    const std::string_view data = netlink::find_attribute(element.payload, NFTA_EXPR_DATA).payload;
    text += netlink::find_attribute(data, NFTA_MATCH_NAME).text();
    text += " " + std::to_string(netlink::find_attribute(data, NFTA_MATCH_REV).be32()) + " ";
    for (const char byte : netlink::find_attribute(data, NFTA_MATCH_INFO).payload) {
      constexpr const char* kDigits = "0123456789abcdef";
      text += kDigits[static_cast<std::uint8_t>(byte) >> 4];
      text += kDigits[static_cast<std::uint8_t>(byte) & 15];
    }
  }
  return text;
}

rules::Rule service_rule() {
  rules::Rule rule;
  rule.destination = test::address_match("10.96.0.0/20");
  rule.in_interface = rules::InterfaceMatch{"eth0", false, true};
  rule.protocol = rules::Protocol::kTcp;
  rule.matches = {rules::PortMatch{rules::Protocol::kTcp, 80}};
  rule.target = rules::Jump{"KUBE-SVC-A", false};
  return rule;
}

std::string_view refusal(auto&& change) {
  rules::Rule rule = service_rule();
  change(rule);
  return netlink::iptables::refusal_of(rule, Family::kIpv4);
}

}  // namespace

TEST_CASE("libnftnl reads what is encoded, in the order of iptables") {
  CHECK(nftnl_text(service_rule(), Family::kIpv4) ==
        "[meta load iifname => reg 1 ][cmp neq reg 1 0x30687465 0x00000000 ]"
        "[meta load l4proto => reg 1 ][cmp eq reg 1 0x00000006 ]"
        "[payload load 4b @ network header + 16 => reg 1 ]"
        "[bitwise reg 1 = ( reg 1 & 0x00f0ffff ) ^ 0x00000000 ][cmp eq reg 1 0x0000600a ]"
        "[match name tcp rev 0 ][counter pkts 0 bytes 0 ][immediate reg 0 jump -> KUBE-SVC-A ][proto 6]");
}

TEST_CASE("Ports and marks are the structures of x_tables that iptables 1.8.7 writes") {
  if constexpr (std::endian::native != std::endian::little) return;
  using rules::PortMatch;
  using rules::Protocol;
  CHECK(match_structure(PortMatch{Protocol::kTcp, 80}) == "tcp 0 0000ffff500050000000000000000000");
  CHECK(match_structure(PortMatch{Protocol::kTcp, std::nullopt}) == "tcp 0 0000ffff0000ffff0000000000000000");
  CHECK(match_structure(PortMatch{Protocol::kUdp, 65534}) == "udp 0 0000fffffefffeff0000000000000000");
  CHECK(match_structure(PortMatch{Protocol::kUdp, std::nullopt}, Family::kIpv6) ==
        "udp 0 0000ffff0000ffff0000000000000000");
  CHECK(match_structure(PortMatch{Protocol::kSctp, 9}) == "sctp 0 09000900" + std::string(528, '0') +
                                                              "ff0000ff0000ff0000ff0000" + "00000000" + "02000000" +
                                                              std::string(16, '0'));
  CHECK(match_structure(rules::MarkMatch{0x4000, 0xc000, true}) == "mark 1 0040000000c000000100000000000000");
  CHECK(match_structure(rules::MarkMatch{0x12, 0xffffffff, false}) == "mark 1 12000000ffffffff0000000000000000");
}

TEST_CASE("In the native form ports of tcp and udp and marks are expressions, as iptables 1.8.9 writes them") {
  rules::Rule rule = service_rule();
  rule.in_interface.reset();
  rule.destination.reset();
  rule.matches.emplace_back(rules::MarkMatch{0x4000, 0xc000, true});
  rule.matches.emplace_back(rules::MarkMatch{0x12, 0xffffffff, false});
  CHECK(nftnl_text(rule, Family::kIpv4, RuleForm::kNative) ==
        "[meta load l4proto => reg 1 ][cmp eq reg 1 0x00000006 ]"
        "[payload load 2b @ transport header + 2 => reg 1 ][cmp eq reg 1 0x00005000 ]"
        "[meta load mark => reg 1 ][bitwise reg 1 = ( reg 1 & 0x0000c000 ) ^ 0x00000000 ][cmp neq reg 1 0x00004000 ]"
        "[meta load mark => reg 1 ][cmp eq reg 1 0x00000012 ]"
        "[counter pkts 0 bytes 0 ][immediate reg 0 jump -> KUBE-SVC-A ][proto 6]");
  rule.protocol = rules::Protocol::kSctp;
  rule.matches = {rules::PortMatch{rules::Protocol::kSctp, 9}};
  CHECK(nftnl_text(rule, Family::kIpv4, RuleForm::kNative) == nftnl_text(rule, Family::kIpv4));
}

TEST_CASE("The mask of a recent list has the bytes of an address, as iptables keeps the mask that it lists") {
  const rules::RecentMatch recent{"abc", rules::RecentMatch::Action::kSet, 0, false};
  CHECK_THAT(match_structure(recent), Catch::EndsWith("00" + std::string(8, 'f') + std::string(32, '0')));
  CHECK_THAT(match_structure(recent, Family::kIpv6), Catch::EndsWith("00" + std::string(32, 'f') + "00000000"));
}

TEST_CASE("A prefix of no bits is no match at all") {
  rules::Rule rule;
  rule.source = test::address_match("0.0.0.0/0");
  CHECK(nftnl_text(rule, Family::kIpv4) == "[counter pkts 0 bytes 0 ]");
}

TEST_CASE("IPv6 addresses are loaded from their own places, by whole bytes where possible") {
  rules::Rule rule;
  rule.source = test::address_match("fd00:10::/32");
  rule.destination = test::address_match("fd00:20::1/128", true);
  CHECK(nftnl_text(rule, Family::kIpv6) ==
        "[payload load 4b @ network header + 8 => reg 1 ][cmp eq reg 1 0x100000fd ]"
        "[payload load 16b @ network header + 24 => reg 1 ]"
        "[cmp neq reg 1 0x200000fd 0x00000000 0x00000000 0x01000000 ][counter pkts 0 bytes 0 ]");
}

TEST_CASE("Compat is told only to rules whose extensions look at it") {
  rules::Rule rule;
  rule.protocol = rules::Protocol::kUdp;
  rule.target = rules::Jump{"A", false};
  CHECK_THAT(nftnl_text(rule, Family::kIpv4), !Catch::Contains("[proto"));
  rule.matches = {rules::PortMatch{rules::Protocol::kUdp, std::nullopt}};
  CHECK_THAT(nftnl_text(rule, Family::kIpv4), Catch::EndsWith("[proto 17]"));
}

TEST_CASE("Every sample fits its bound and is not refused") {
  for (const Family family : rules::kFamilies)
    for (const auto& sample : test::sample_rules(family)) {
      INFO(sample.text);
      CHECK(netlink::iptables::refusal_of(sample.rule, family).empty());
      CHECK_NOTHROW(test::encoded(sample.rule, family));
    }
}

TEST_CASE("The largest rule of the model fits its bound") {
  rules::Rule rule;
  rule.in_interface = rule.out_interface = rules::InterfaceMatch{"a23456789012345", false, true};
  rule.source = rule.destination = test::address_match("fd00::8000:0/97", true);
  rule.protocol = rules::Protocol::kSctp;
  rule.matches.assign(32, rules::PortMatch{rules::Protocol::kSctp, 1});
  rule.target = rules::Jump{std::string(255, 'x'), false};
  CHECK_NOTHROW(test::encoded(rule, Family::kIpv6));
  CHECK(test::decoded(test::encoded(rule, Family::kIpv6), Family::kIpv6) == rule);
}

TEST_CASE("A comment is cut at 255 bytes") {
  rules::Rule rule;
  rule.matches = {rules::CommentMatch{std::string(300, 'c')}};
  CHECK(rules::comment_of(test::decoded(test::encoded(rule, Family::kIpv4))) == std::string(255, 'c'));
}

TEST_CASE("What the kernel or iptables could not hold is refused before it is sent") {
  CHECK(refusal([](rules::Rule&) {}).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) { rule.opaque = "x"; }).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) { rule.source = test::address_match("fd00::/64"); }).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) { rule.destination = test::address_match("0.0.0.0/0", true); }).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) { rule.destination->prefix.length = 33; }).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) { rule.in_interface->name = ""; }).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) { rule.in_interface->name = "a234567890123456"; }).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) { rule.in_interface->name = std::string("a\0b", 3); }).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) { rule.protocol = rules::Protocol::kUdp; }).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) { rule.matches.assign(33, rules::MarkMatch{}); }).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) { rule.matches = {rules::MultiportMatch{}}; }).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) {
                rule.matches = {rules::MultiportMatch{std::vector<std::uint16_t>(16, 1)}};
              }).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) { rule.matches = {rules::AddrTypeMatch{}}; }).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) { rule.matches = {rules::RecentMatch{std::string(200, 'r')}}; }).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) { rule.matches = {rules::NfacctMatch{std::string(32, 'n')}}; }).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) { rule.matches = {rules::CommentMatch{std::string("a\0b", 3)}}; }).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) { rule.target = rules::Jump{}; }).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) { rule.target = rules::Jump{std::string(256, 'j'), false}; }).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) {
                rule.target = rules::DnatTarget{*rules::Address::parse("fd00::1"), 80};
              }).empty());
  CHECK_FALSE(refusal([](rules::Rule& rule) {
                rule.protocol.reset();
                rule.matches.clear();
                rule.target = rules::DnatTarget{*rules::Address::parse("10.0.0.1"), 80};
              }).empty());
}
