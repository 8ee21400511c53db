#include <catch2/catch.hpp>

#include "test/unit/rules/xt_statements.h"

namespace kubenatd::rules::walk::xt {
namespace {

using namespace test;  // NOLINT: what the tests of statements share

TEST_CASE("xt targets: marks are set and moved bit by bit") {
  SetMeta set = std::get<SetMeta>(set_mark(0x4000, 0x4000));
  CHECK(set.key == NFT_META_MARK);
  CHECK(what<Bits>(set.value).mask == Bytes::host(0xffffbfff));
  CHECK(what<Bits>(set.value).flip == Bytes::host(0x4000));
  set = std::get<SetMeta>(set_mark(7, 0xffffffff));
  CHECK(what<Constant>(set.value).bytes == Bytes::host(7));

  SetCt set_ct = std::get<SetCt>(set_connmark(1, 0xff));
  CHECK(set_ct.key == NFT_CT_MARK);
  CHECK(what<Ct>(what<Bits>(set_ct.value).of).key == NFT_CT_MARK);
  CHECK(what<Bits>(set_ct.value).mask == Bytes::host(0xffffff00));

  set_ct = std::get<SetCt>(save_mark(0xf0, 0x0f));
  const auto both = what<BitsOfTwo>(set_ct.value);
  CHECK(both.operation == BitsOfTwo::Operation::kXor);
  CHECK(what<Ct>(what<Bits>(both.of).of).key == NFT_CT_MARK);
  CHECK(what<Bits>(both.of).mask == Bytes::host(0xffffff0f));
  CHECK(what<Meta>(what<Bits>(both.other).of).key == NFT_META_MARK);
  CHECK(what<Bits>(both.other).mask == Bytes::host(0x0f));

  set = std::get<SetMeta>(restore_mark(0xffffffff, 0xffffffff));
  CHECK(what<Ct>(set.value).key == NFT_CT_MARK);
  set = std::get<SetMeta>(restore_mark(0xff, 0xffffffff, -8));
  CHECK(what<Shift>(set.value).by == 8);
  CHECK_FALSE(what<Shift>(set.value).left);
  CHECK(what<Shift>(std::get<SetCt>(set_connmark(1, 0xffffffff, 4)).value).left);
}

TEST_CASE("xt targets: translations") {
  Nat made = std::get<Nat>(nat(Nat::Kind::kDestination, kFour, kFour, 80, 90, true, true));
  CHECK(hex(what<Constant>(made.address).bytes) == "0a010203");
  CHECK(made.last_address == nullptr);
  CHECK(hex(what<Constant>(made.port).bytes) == "0050");
  CHECK(hex(what<Constant>(made.last_port).bytes) == "005a");
  CHECK(made.random);
  CHECK(made.persistent);
  CHECK_FALSE(made.netmap);
  made = std::get<Nat>(nat(Nat::Kind::kRedirect, {}, {}, {}, {}, false, false));
  CHECK(made.address == nullptr);
  CHECK(made.port == nullptr);

  made = std::get<Nat>(netmap(true, *Address::parse("192.0.2.0"), *Address::parse("255.255.255.128")));
  CHECK(made.kind == Nat::Kind::kSource);
  CHECK(made.netmap);
  CHECK(hex(what<Constant>(made.address).bytes) == "c0000200");
  CHECK(hex(what<Constant>(made.last_address).bytes) == "c000027f");
}

TEST_CASE("xt targets: others by what they do to the packet's way") {
  for (const char* const name : {"LOG", "NFLOG", "TRACE", "TEE", "CHECKSUM", "TCPMSS", "AUDIT"})
    CHECK(std::holds_alternative<NoEffect>(other_target(name, std::string(name))));
  CHECK(std::get<ToVerdict>(other_target("QUEUE", "QUEUE")).verdict == Verdict::kQueue);
  CHECK(std::get<ToVerdict>(other_target("NFQUEUE", "NFQUEUE --queue-bypass")).verdict == Verdict::kQueueBypass);
  CHECK(std::get<ToVerdict>(other_target("NFQUEUE", "NFQUEUE --queue-num 1")).verdict == Verdict::kQueue);
  CHECK(std::get<ToVerdict>(other_target("SYNPROXY", "SYNPROXY")).verdict == Verdict::kStolen);
  CHECK(std::get<ToVerdict>(other_target("DROP", "DROP")).verdict == Verdict::kDrop);
  CHECK(std::holds_alternative<NoTrack>(other_target("NOTRACK", "NOTRACK")));
  CHECK(std::holds_alternative<NoTrack>(other_target("CT", "CT --notrack")));
  CHECK(std::holds_alternative<NoEffect>(other_target("CT", "CT --helper ftp")));
  for (const char* const name : {"MARK", "HMARK"}) {
    const auto set = std::get<SetMeta>(other_target(name, name));
    CHECK(set.key == NFT_META_MARK);
    CHECK(what<Unread>(set.value).text == name);
  }
  CHECK(std::get<SetMeta>(other_target("CLASSIFY", "CLASSIFY")).key == NFT_META_PRIORITY);
  CHECK(std::get<SetPayload>(other_target("TTL", "TTL --ttl-inc 1")).where == Payload{kNetwork, 8, 1});
  CHECK(std::get<SetPayload>(other_target("TOS", "TOS")).where == Payload{kNetwork, 1, 1});
  for (const char* const name : {"DNAT", "SNAT", "CLUSTERIP", "CONNMARK", "SOMETHING"})
    CHECK(std::get<OtherTarget>(other_target(name, name)).text == name);
}

TEST_CASE("xt targets: fields of the network header") {
  SetPayload set = std::get<SetPayload>(set_ttl(Family::kIpv6, 5));
  CHECK(set.where == Payload{kNetwork, 7, 1});
  CHECK(hex(what<Constant>(set.value).bytes) == "05");
  CHECK(std::holds_alternative<Unread>(std::get<SetPayload>(set_ttl(Family::kIpv4, {})).value->what));
  set = std::get<SetPayload>(set_tos(Family::kIpv4, 0xb8, 0xfc));
  CHECK(set.where == Payload{kNetwork, 1, 1});
  CHECK(hex(what<Bits>(set.value).mask) == "03");
  CHECK(hex(what<Bits>(set.value).flip) == "b8");
  set = std::get<SetPayload>(set_tos(Family::kIpv6, 0xb8, 0xfc));
  CHECK(set.where == Payload{kNetwork, 0, 2});
  CHECK(hex(what<Bits>(set.value).mask) == "f03f");
  CHECK(hex(what<Bits>(set.value).flip) == "0b80");
}

TEST_CASE("xt targets: what sockets and priorities give") {
  CHECK(what<SocketField>(std::get<SetMeta>(mark_of_socket()).value).key == NFT_SOCKET_MARK);
  const auto set = std::get<SetMeta>(set_priority(0x10010));
  CHECK(set.key == NFT_META_PRIORITY);
  CHECK(what<Constant>(set.value).bytes == Bytes::host(0x10010));
  const Tproxy proxy = std::get<Tproxy>(tproxy(*Address::parse("0.0.0.0"), 0, 0, 0));
  CHECK(proxy.address == nullptr);
  CHECK(proxy.port == nullptr);
  CHECK_FALSE(proxy.mark);
  CHECK(hex(what<Constant>(std::get<Tproxy>(tproxy(kFour, 80, 1, 0xff)).port).bytes) == "0050");
}

TEST_CASE("xt model: a rule's parts are statements in their order") {
  Rule rule;
  rule.destination = AddressMatch{Prefix::host(kFour), false};
  rule.protocol = Protocol::kTcp;
  rule.matches = {CommentMatch{"demo/x"}, PortMatch{Protocol::kTcp, 80}, StatisticMatch{1U << 30U},
                  RecentMatch{"LIST", RecentMatch::Action::kCheck, 10, true}};
  rule.target = DnatTarget{*Address::parse("10.0.0.9"), 8080};
  const WalkRule made = walk_rule(rule, Family::kIpv4);
  REQUIRE(made.statements.size() == 6);
  CHECK(condition(made.statements[0]).part == Part::kDestination);
  CHECK(condition(made.statements[1]).part == Part::kProtocol);
  CHECK(condition(made.statements[2]).part == Part::kDestinationPort);
  CHECK(std::get<Chance>(made.statements[3]).odds == 0.5);
  CHECK(std::get<Remembered>(made.statements[4]).list == "LIST");
  CHECK(hex(what<Constant>(std::get<Nat>(made.statements[5]).port).bytes) == "1f90");
  CHECK(made.comment == "demo/x");
  CHECK(made.model == rule);
  CHECK(made.text == to_text(rule, Family::kIpv4));
}

TEST_CASE("xt model: each target and the matches that say nothing") {
  const auto last = [](Target target, Family family) {
    Rule rule;
    rule.target = std::move(target);
    return walk_rule(rule, family).statements;
  };
  CHECK(std::get<ToVerdict>(last(rules::Verdict::kDrop, Family::kIpv4).at(0)).verdict == Verdict::kDrop);
  CHECK(std::get<ToVerdict>(last(rules::Verdict::kReturn, Family::kIpv4).at(0)).verdict == Verdict::kReturn);
  CHECK(std::get<ToVerdict>(last(Jump{"X", true}, Family::kIpv4).at(0)) == ToVerdict{Verdict::kGoto, "X"});
  CHECK(std::get<ToVerdict>(last(Jump{"X", false}, Family::kIpv4).at(0)) == ToVerdict{Verdict::kJump, "X"});
  CHECK(std::get<Nat>(last(MasqueradeTarget{true}, Family::kIpv4).at(0)).random);
  CHECK(std::get<Refuse>(last(RejectTarget{}, Family::kIpv6).at(0)).with == "icmp6-port-unreachable");
  CHECK(std::holds_alternative<SetMeta>(last(MarkTarget{1, 1}, Family::kIpv6).at(0)));
  CHECK(last(NoTarget{}, Family::kIpv4).empty());

  Rule rule;
  rule.matches = {CommentMatch{"x"}, RecentMatch{"LIST", RecentMatch::Action::kSet, 0, false}};
  CHECK(walk_rule(rule, Family::kIpv4).statements.empty());
  rule.matches = {AddrTypeMatch{true, true}, MultiportMatch{{80, 443}}, MarkMatch{1, 1, true}, ConntrackMatch{8, true}};
  const auto statements = walk_rule(rule, Family::kIpv4).statements;
  REQUIRE(statements.size() == 5);
  CHECK(condition(statements[0]).part == Part::kSourceType);
  CHECK(condition(statements[1]).part == Part::kDestinationType);
  CHECK(ranges(condition(statements[2])) == "0050 01bb");
  CHECK(condition(statements[3]).negate);
}

TEST_CASE("xt model: an opaque rule cannot be judged") {
  Rule rule;
  rule.opaque = "-m something --strange";
  const WalkRule made = walk_rule(rule, Family::kIpv4);
  REQUIRE(made.statements.size() == 2);
  CHECK(std::get<Unjudged>(made.statements[0]).text == rule.opaque);
  CHECK(std::holds_alternative<OtherTarget>(made.statements[1]));
  CHECK_FALSE(made.model);
  CHECK(made.text == rule.opaque);
}

}  // namespace
}  // namespace kubenatd::rules::walk::xt
