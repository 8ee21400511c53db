#include <catch2/catch.hpp>

#include "test/unit/rules/walk_builder.h"

namespace kubenatd::rules::walk::test {
namespace {

PacketState state_of(const Packet& packet) {
  PacketState state;
  state.packet = state.original = packet;
  state.in_interface = "eth0";
  state.out_interface = "";
  state.tracking = PacketState::Tracking::kTracked;
  return state;
}

const Packet kExample = packet("192.168.77.100", "10.96.0.10", 80);

std::vector<Branch> judge_one(std::initializer_list<Statement> statements,
                              const PacketState& state = state_of(kExample), const Ruleset& ruleset = {},
                              const WalkTable& table = {}) {
  return judge(ruleset, table, rule(statements), state, node());
}

/// Whether a rule of this one condition fits: "yes", "no", "?".
std::string fits(Statement condition, const PacketState& state = state_of(kExample)) {
  const std::vector<Branch> branches = judge_one({std::move(condition), drop()}, state);
  if (branches.size() == 1) return branches[0].fit == Fit::kYes ? "yes" : branches[0].fit == Fit::kNo ? "no" : "other";
  CHECK(branches.size() == 2);
  return branches[0].fit == Fit::kUnknown ? "?" : "other";
}

TEST_CASE("judging a rule: headers of a first packet") {
  const auto network = [](std::uint16_t offset, std::uint16_t size) {
    return field(Payload::Base::kNetwork, offset, size);
  };
  CHECK(fits(to("10.96.0.10")) == "yes");
  CHECK(fits(to("10.96.0.10", true)) == "no");
  CHECK(fits(equals(network(9, 1), Bytes::filled(1, 6))) == "yes");
  CHECK(fits(equals(network(8, 1), Bytes::filled(1, 64))) == "?");
  CHECK(fits(equals(network(4, 2), Bytes::filled(2, 0))) == "?");
  const auto flags = [](std::uint8_t mask, std::uint8_t set) {
    return equals(make(Bits{field(Payload::Base::kTransport, 13, 1), Bytes::filled(1, mask), Bytes::filled(1, 0)}),
                  Bytes::filled(1, set));
  };
  CHECK(fits(flags(0x17, 0x02)) == "yes");  // --syn
  CHECK(fits(flags(0x3f, 0x3f)) == "no");
  CHECK(fits(flags(0xff, 0x02)) == "?");  // ECN
  PacketState state = state_of(kExample);
  state.packet.ttl = 64;
  CHECK(fits(equals(network(8, 1), Bytes::filled(1, 64)), state) == "yes");
  state.hook = Hook::kForward;
  CHECK(fits(equals(network(8, 1), Bytes::filled(1, 63)), state) == "yes");
  state.packet.source_port_known = false;
  CHECK(fits(equals(field(Payload::Base::kTransport, 0, 2), port_bytes(1)), state) == "?");
  CHECK(fits(equals(field(Payload::Base::kTransport, 0, 4), Bytes::network(81, 4)), state) == "no");
}

TEST_CASE("judging a rule: headers of IPv6") {
  Packet six = packet("2001:db8::7", "fd00:10:96::10", 80);
  six.protocol = Protocol::kUdp;
  six.tos = 0xb8;
  six.length = 100;
  PacketState state = state_of(six);
  const auto network = [](std::uint16_t offset, std::uint16_t size) {
    return field(Payload::Base::kNetwork, offset, size);
  };
  CHECK(fits(equals(network(8, 16), bytes_of("2001:db8::7")), state) == "yes");
  CHECK(fits(equals(network(24, 16), bytes_of("fd00:10:96::10")), state) == "yes");
  CHECK(fits(equals(network(6, 1), Bytes::filled(1, 17)), state) == "yes");
  CHECK(fits(equals(network(4, 2), Bytes::network(60, 2)), state) == "yes");
  // The traffic class lies across two bytes, before a flow label that nobody knows.
  CHECK(
      fits(equals(make(Bits{network(0, 2), Bytes::network(0x0ff0, 2), Bytes::filled(2, 0)}), Bytes::network(0x0b80, 2)),
           state) == "yes");
  CHECK(fits(equals(network(0, 4), Bytes::network(0x6b800000, 4)), state) == "?");
  CHECK(fits(equals(meta(NFT_META_NFPROTO), Bytes::filled(1, 10)), state) == "yes");
  const std::vector<Branch> branches =
      judge_one({SetPayload{{Payload::Base::kNetwork, 0, 2}, constant(Bytes::network(0x6000, 2))}}, state);
  REQUIRE(branches.size() == 1);
  CHECK(branches[0].after.packet.tos == 0);
}

TEST_CASE("judging a rule: what is written into a packet is what later rules read") {
  const auto network = [](std::uint16_t offset, std::uint16_t size) {
    return Payload{Payload::Base::kNetwork, offset, size};
  };
  std::vector<Branch> branches = judge_one({SetPayload{network(16, 4), constant(bytes_of("10.9.9.9"))}});
  CHECK(branches.at(0).after.packet.destination == ip("10.9.9.9"));
  branches = judge_one({SetPayload{network(8, 1), constant(Bytes::filled(1, 7))}});
  CHECK(branches.at(0).after.packet.ttl == 7);
  branches = judge_one({SetPayload{network(1, 1), make(Unread{"?", 1})}});
  CHECK_FALSE(branches.at(0).after.packet.tos);
  CHECK_FALSE(branches.at(0).anything);
  branches = judge_one({SetPayload{network(16, 4), make(Unread{"?", 4})}});
  CHECK(branches.at(0).anything);
  branches = judge_one({SetPayload{{Payload::Base::kTransport, 2, 2}, constant(port_bytes(81))}});
  CHECK(branches.at(0).after.packet.destination_port == 81);
}

TEST_CASE("judging a rule: connection tracking and interfaces") {
  PacketState state = state_of(kExample);
  CHECK(fits(in_state(8), state) == "yes");
  CHECK(fits(in_state(2 | 4), state) == "no");
  CHECK(fits(equals(ct(NFT_CT_MARK), Bytes::host(0)), state) == "yes");
  state.destination_changed = true;
  state.packet.destination = ip("10.244.1.5");
  CHECK(fits(equals(ct(NFT_CT_DST, Ct::Direction::kOriginal), bytes_of("10.96.0.10")), state) == "yes");
  CHECK(fits(equals(ct(NFT_CT_SRC, Ct::Direction::kReply), bytes_of("10.244.1.5")), state) == "yes");
  CHECK(fits(equals(make(Bits{ct(NFT_CT_STATUS), Bytes::host(0x20), Bytes::host(0)}), Bytes::host(0x20)), state) ==
        "yes");
  state.tracking = PacketState::Tracking::kNotYet;
  CHECK(fits(in_state(1), state) == "yes");
  CHECK(fits(equals(ct(NFT_CT_MARK), Bytes::host(0)), state) == "no");
  CHECK(fits(equals(ct(NFT_CT_MARK), Bytes::host(0), true), state) == "no");
  CHECK(fits(in_by("eth0"), state) == "yes");
  CHECK(fits(in_by("eth1", true), state) == "yes");
  CHECK(fits(out_by("eth0", true), state) == "yes");
  state.in_interface.reset();
  CHECK(fits(in_by("eth0"), state) == "?");
  CHECK(fits(in_by("eth0", true), state) == "?");
}

TEST_CASE("judging a rule: a failing part decides before one that cannot be judged") {
  std::vector<Branch> branches = judge_one({limit(), from("10.9.9.9"), drop()});
  REQUIRE(branches.size() == 1);
  CHECK(branches[0].fit == Fit::kNo);
  CHECK(branches[0].part == Part::kSource);
  // But not when something was done between them.
  branches = judge_one({limit(), set_mark(1, 1), from("10.9.9.9"), drop()});
  REQUIRE(branches.size() == 1);
  CHECK(branches[0].fit == Fit::kUnknown);
  CHECK(branches[0].after.mark.unknown == 1);
  branches = judge_one({limit(), NoEffect{"LOG"}});
  REQUIRE(branches.size() == 1);
  CHECK(branches[0].fit == Fit::kUnknown);
  CHECK_FALSE(branches[0].assumed);
  CHECK(branches[0].odds_known);
  branches = judge_one({set_mark(1, 1), Never{"-f", Part::kOther}, drop()});
  REQUIRE(branches.size() == 1);
  CHECK(branches[0].fit == Fit::kNo);
  CHECK(branches[0].after.mark.bits == 1);
}

TEST_CASE("judging a rule: marks are known bit by bit") {
  PacketState state = state_of(kExample);
  state.mark = {0x4000, 0x10};
  CHECK(fits(marked(0x4000, 0x4000), state) == "yes");
  CHECK(fits(marked(0x10, 0x10), state) == "?");
  CHECK(fits(marked(0x10, 0x4010), state) == "no");
  std::vector<Branch> branches = judge_one({set_mark(0, 0x10)}, state);
  CHECK(branches[0].after.mark == Mark{0x4000, 0});
  const ExpressionPtr both = make(BitsOfTwo{BitsOfTwo::Operation::kOr, meta(NFT_META_MARK), ct(NFT_CT_MARK)});
  state.connmark = {0x1, 0x2};
  branches = judge_one({SetMeta{NFT_META_MARK, both}}, state);
  CHECK(branches[0].after.mark == Mark{0x4001, 0x12});
  branches = judge_one({SetCt{NFT_CT_MARK, make(Shift{meta(NFT_META_MARK), false, 4})}}, state);
  CHECK(branches[0].after.connmark == Mark{0x400, 0x1});
}

TEST_CASE("judging a rule: numbers that are drawn") {
  std::vector<Branch> branches = judge_one({equals(random_number(4), Bytes::host(1)), drop()});
  REQUIRE(branches.size() == 2);
  CHECK(branches[0].odds == Approx(0.75));
  CHECK(branches[1].odds == Approx(0.25));
  CHECK(branches[1].fit == Fit::kByChance);
  // Of a number too large to try all its values, from the ranges alone.
  const ExpressionPtr large = make(Swap{random_number(1'000'000), 4});
  branches =
      judge_one({Condition{large, {{Bytes::network(0, 4), Bytes::network(249'999, 4)}}, false, Part::kOther}, drop()});
  REQUIRE(branches.size() == 2);
  CHECK(branches[1].odds == Approx(0.25));
  // One node is one number.
  const ExpressionPtr number = random_number(2);
  branches = judge_one({equals(number, Bytes::host(1)), equals(number, Bytes::host(1)), drop()});
  REQUIRE(branches.size() == 2);
  CHECK(branches[0].odds == Approx(0.5));
  branches = judge_one({equals(random_number(2), Bytes::host(1)), equals(random_number(2), Bytes::host(1)), drop()});
  REQUIRE(branches.size() == 2);
  CHECK(branches[0].odds == Approx(0.75));
  // Nothing comes of it.
  branches = judge_one({equals(random_number(4), Bytes::host(1)), NoEffect{"counter"}});
  REQUIRE(branches.size() == 1);
  CHECK(branches[0].odds == 1);
  CHECK(judge_one({Chance{0}, drop()})[0].fit == Fit::kNo);
  CHECK(judge_one({Chance{1}, drop()})[0].fit == Fit::kYes);
}

TEST_CASE("judging a rule: what cannot be known is not guessed") {
  const ExpressionPtr unread = make(Unread{"bpf", 4});
  CHECK(fits(equals(unread, Bytes::host(0))) == "?");
  CHECK(fits(equals(make(Bits{unread, Bytes::host(0), Bytes::host(1)}), Bytes::host(1))) == "yes");
  CHECK(fits(InIpset{"cali40s:x", {true}, false, "-m set"}) == "?");
  CHECK(fits(InTime{}) == "?");
  CHECK(judge_one({dnat("10.244.1.5"), drop()})[0].verdict.verdict == Verdict::kAccept);
  Nat unknown;
  unknown.address = unread;
  CHECK(judge_one({unknown})[0].anything);
  CHECK(judge_one({OtherTarget{"NEW"}})[0].anything);
  std::vector<Branch> branches = judge_one({SetMeta{NFT_META_MARK, unread}});
  CHECK(branches[0].after.mark.unknown == ~0U);
  // A tree that names each branch twice is given up, not followed to its end.
  ExpressionPtr tree = meta(NFT_META_MARK);
  for (int i = 0; i < 60; ++i) tree = make(BitsOfTwo{BitsOfTwo::Operation::kXor, tree, tree});
  CHECK(fits(equals(tree, Bytes::host(0))) == "?");
}

TEST_CASE("judging a rule: the time of the day and the day of the week") {
  Surroundings surroundings = node();
  surroundings.now = 1'700'000'000;  // Tuesday, 14 November 2023, 22:13:20 UTC
  const auto yes = [&](const InTime& time) {
    return judge({}, {}, rule({time, drop()}), state_of(kExample), surroundings).at(0).fit == Fit::kYes;
  };
  InTime time;
  CHECK(yes(time));
  time.day_from = 22 * 3600;
  time.day_until = 23 * 3600;
  CHECK(yes(time));
  time.weekdays = 1U << 2;
  CHECK(yes(time));
  time.month_days = 1U << 13;
  CHECK_FALSE(yes(time));
  time.month_days = 1U << 14;
  CHECK(yes(time));
  surroundings.minutes_west = -120;  // 00:13:20 of the next day
  CHECK(yes(time));
  time.local_time = true;
  CHECK_FALSE(yes(time));
  time.day_from = 23 * 3600;
  time.day_until = 1 * 3600;
  CHECK_FALSE(yes(time));
  time.contiguous = true;
  CHECK(yes(time));
}

TEST_CASE("judging a rule: verdict maps and sets that packets fill") {
  Ruleset ruleset;
  WalkTable& table = ruleset.table(TableFamily::kIp, "t");
  WalkSet& ports = table.sets["ports"];
  ports.name = "ports";
  ports.parts = {2};
  ports.has_verdicts = ports.is_map = true;
  SetElement web;
  web.first = web.last = port_bytes(80);
  web.verdict = ToVerdict{Verdict::kJump, "web"};
  ports.elements.push_back(web);
  PacketState state = state_of(kExample);
  std::vector<Branch> branches = judge_one({VerdictMap{dport_field(), "ports"}}, state, ruleset, table);
  REQUIRE(branches.size() == 1);
  CHECK(branches[0].verdict == ToVerdict{Verdict::kJump, "web"});
  REQUIRE(branches[0].looked_up.size() == 1);
  CHECK(branches[0].looked_up[0].found);
  state.packet.destination_port = 81;
  branches = judge_one({VerdictMap{dport_field(), "ports"}, drop()}, state, ruleset, table);
  REQUIRE(branches.size() == 1);
  CHECK(branches[0].fit == Fit::kNo);
  CHECK(branches[0].part == Part::kSet);
  REQUIRE(branches[0].looked_up.size() == 1);
  CHECK_FALSE(branches[0].looked_up[0].found);
  state.packet.destination_port = 79;
  state.last_destination_port = 80;
  branches = judge_one({VerdictMap{dport_field(), "ports"}}, state, ruleset, table);
  CHECK(branches.size() == 2);
  ports.complete = false;
  branches = judge_one({VerdictMap{dport_field(), "ports"}}, state_of(kExample), ruleset, table);
  CHECK(branches.size() == 1);  // an element that is known counts
  ports.elements.clear();
  branches = judge_one({VerdictMap{dport_field(), "ports"}}, state_of(kExample), ruleset, table);
  REQUIRE(branches.size() == 2);
  CHECK(branches[1].anything);

  WalkSet& seen = table.sets["seen"];
  seen.name = "seen";
  seen.parts = {4};
  seen.dynamic = true;
  branches = judge_one({InSet{saddr(), "seen", false, Part::kSet}, drop()}, state_of(kExample), ruleset, table);
  REQUIRE(branches.size() == 2);
  CHECK(branches[0].fit == Fit::kNo);
  CHECK(branches[1].remembered);
  CHECK(branches[1].verdict.verdict == Verdict::kDrop);
  branches = judge_one({UpdateSet{"seen", saddr(), {}}, InSet{saddr(), "seen", false, Part::kSet}, drop()},
                       state_of(kExample), ruleset, table);
  REQUIRE(branches.size() == 1);
  CHECK(branches[0].verdict.verdict == Verdict::kDrop);
}

TEST_CASE("rules for a walk: what says the same is the same") {
  CHECK(same(to("10.0.0.1"), to("10.0.0.1")));
  CHECK_FALSE(same(to("10.0.0.1"), to("10.0.0.1", true)));
  CHECK_FALSE(same(to("10.0.0.1"), from("10.0.0.1")));
  CHECK(same(Statement{set_mark(1, 1)}, Statement{set_mark(1, 1)}));
  CHECK_FALSE(same(Statement{set_mark(1, 1)}, Statement{set_mark(1, 3)}));
  CHECK(same(Statement{NoEffect{"LOG"}}, Statement{NoEffect{"counter"}}));
  CHECK_FALSE(same(Statement{accept()}, Statement{drop()}));
  CHECK(same(Statement{dnat("10.0.0.1", 1)}, Statement{dnat("10.0.0.1", 1)}));
  CHECK_FALSE(same(Statement{dnat("10.0.0.1", 1)}, Statement{dnat("10.0.0.1")}));
  CHECK(same(ExpressionPtr(), ExpressionPtr()));
  CHECK_FALSE(same(ExpressionPtr(), saddr()));
}

TEST_CASE("rules for a walk: where chains of iptables start") {
  CHECK(iptables_base("raw", "PREROUTING")->priority == -300);
  CHECK(iptables_base("nat", "INPUT")->priority == 100);
  CHECK(iptables_base("mangle", "OUTPUT")->type == Base::Type::kRoute);
  CHECK_FALSE(iptables_base("filter", "PREROUTING"));
  CHECK(is_iptables_table("security"));
  CHECK_FALSE(is_iptables_table("kubenatd"));
  CHECK(name_of(TableFamily::kInet) == "inet");
  CHECK(name_of(Hook::kPostrouting) == "postrouting");
}

}  // namespace
}  // namespace kubenatd::rules::walk::test
