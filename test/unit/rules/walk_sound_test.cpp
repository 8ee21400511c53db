#include <catch2/catch.hpp>
#include <random>

#include "test/unit/rules/walk_builder.h"

/// Whatever is not known may be one thing or another: what then happens must be among the outcomes that were told.
namespace kubenatd::rules::walk::test {
namespace {

class Maker {
 public:
  explicit Maker(unsigned seed) : random_(seed) {}
  unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }
  bool one_in(unsigned count) { return below(count) == 0; }

  Rules rules() {
    Rules made;
    for (const auto& [table, chain] : kChains) {
      auto& list = made.iptables(table, chain).rules;
      for (unsigned count = below(5); count > 0; --count) list.push_back(one(table, std::string(chain).size() == 1));
    }
    WalkSet& set = made.set.table(TableFamily::kIp, "filter").sets["s"];
    set.name = "s";
    set.parts = {1};
    for (unsigned i = 0; i < 3; ++i) {
      SetElement element;
      element.first = Bytes::filled(1, static_cast<std::uint8_t>(62 + below(4)));
      element.last = Bytes::filled(1, static_cast<std::uint8_t>(element.first.data[0] + below(2)));
      set.elements.push_back(element);
    }
    for (const char* table : {"raw", "mangle", "nat"}) made.set.table(TableFamily::kIp, table).sets["s"] = set;
    return made;
  }

  /// The same rules, with every part that cannot be judged either gone or never fitting.
  Ruleset decided(const Ruleset& from) {
    Ruleset made;
    for (const WalkTable& table : from.tables()) {
      WalkTable& copy = made.table(table.family, table.name);
      copy = table;
      for (auto& [name, chain] : copy.chains)
        for (WalkRule& rule : chain.rules)
          for (Statement& statement : rule.statements)
            if (std::holds_alternative<Unjudged>(statement)) {
              if (one_in(2)) {
                statement = NoEffect{"fits"};
              } else {
                statement = Never{"fits not", Part::kOther};
              }
            }
    }
    return made;
  }

  Packet known(Packet packet) {
    packet.in_interface = one_in(2) ? "eth0" : "eth1";
    packet.source_port_known = true;
    packet.source_port = static_cast<std::uint16_t>(1000 + below(3));
    packet.ttl = static_cast<std::uint8_t>(62 + below(4));
    packet.tos = static_cast<std::uint8_t>(below(3) * 4);
    return packet;
  }

 private:
  static constexpr std::pair<const char*, const char*> kChains[] = {
      {"raw", "PREROUTING"}, {"mangle", "PREROUTING"}, {"mangle", "FORWARD"}, {"mangle", "A"},
      {"mangle", "B"},       {"nat", "PREROUTING"},    {"nat", "A"},          {"nat", "B"},
      {"filter", "FORWARD"}, {"filter", "INPUT"},      {"filter", "A"},       {"filter", "B"},
      {"nat", "POSTROUTING"}};

  std::uint32_t bits() { return 1U << below(3); }
  ExpressionPtr ttl() { return field(Payload::Base::kNetwork, 8, 1); }

  Statement condition() {
    const bool negate = one_in(3);
    switch (below(11)) {
      case 0: return to("10.0.0.1", negate);
      case 1: return dport(80, negate);
      case 2:
        return Condition{
            field(Payload::Base::kTransport, 0, 2), {{port_bytes(1000), port_bytes(1001)}}, negate, Part::kSourcePort};
      case 3:
        return Condition{ttl(),
                         {{Bytes::filled(1, static_cast<std::uint8_t>(62 + below(3))), Bytes::filled(1, 64)}},
                         negate,
                         Part::kOther};
      case 4: return equals(field(Payload::Base::kNetwork, 1, 1), Bytes::filled(1, 4), negate);
      case 5: return in_by(one_in(2) ? "eth0" : "eth1", negate);
      case 6: {
        const std::uint32_t mask = bits() | bits();
        return marked(bits() & mask, mask, negate);
      }
      case 7: return Unjudged{"-m limit", Part::kOther};
      case 8: return InSet{ttl(), "s", negate, Part::kSet};
      case 9: {
        AnyOf any;
        any.conditions = {dport(80), equals(ttl(), Bytes::filled(1, 63))};
        any.negate = negate;
        return any;
      }
      default:
        return equals(make(Bits{ct(NFT_CT_MARK), Bytes::host(3), Bytes::host(0)}), Bytes::host(below(4)), negate);
    }
  }

  Statement action(std::string_view table, bool is_user_chain) {
    const bool nat = table == "nat";
    switch (below(12)) {
      case 0: return accept();
      case 1:
        if (nat) return dnat("10.0.0.2", static_cast<std::uint16_t>(80 + below(2)));
        return drop();
      case 2: return back();
      case 3:
      case 4: return is_user_chain ? Statement(back()) : Statement(jump(one_in(2) ? "A" : "B"));
      case 5: return is_user_chain ? Statement(accept()) : Statement(go_to(one_in(2) ? "A" : "B"));
      case 6:
        return SetCt{NFT_CT_MARK, make(BitsOfTwo{BitsOfTwo::Operation::kXor, meta(NFT_META_MARK), ct(NFT_CT_MARK)})};
      case 7: return SetMeta{NFT_META_MARK, make(Swap{ct(NFT_CT_MARK), 4})};
      case 8: return NoEffect{"LOG"};
      case 9:
        if (nat) return dnat("192.168.77.2");
        return SetMeta{NFT_META_MARK, make(Shift{meta(NFT_META_MARK), one_in(2), 1})};
      default: return set_mark(bits(), bits() | bits());
    }
  }

  WalkRule one(std::string_view table, bool is_user_chain) {
    WalkRule made;
    for (unsigned count = below(3); count > 0; --count) made.statements.push_back(condition());
    made.statements.push_back(action(table, is_user_chain));
    if (one_in(5)) made.statements.insert(made.statements.begin(), set_mark(bits(), bits()));
    return made;
  }

  std::mt19937 random_;
};

/// POSTROUTING has rules of its own kind.
void mend_postrouting(Rules& rules) {
  for (WalkRule& rule : rules.iptables("nat", "POSTROUTING").rules)
    for (Statement& statement : rule.statements) {
      if (std::holds_alternative<Nat>(statement)) statement = masquerade();
      if (const auto* verdict = std::get_if<ToVerdict>(&statement); verdict != nullptr && !verdict->chain.empty())
        statement = accept();
    }
}

std::string told(const Outcome& outcome) {
  Outcome plain = outcome;
  plain.odds_known = true;
  plain.odds = 1;
  return describe(plain);
}

TEST_CASE("a walk through netfilter: what is not known never hides what may happen") {
  Maker maker(20'261'126);
  std::size_t several = 0, certain = 0;
  for (int round = 0; round < 600; ++round) {
    Rules rules = maker.rules();
    mend_postrouting(rules);
    Packet asked = packet("192.168.77.100", maker.one_in(2) ? "10.0.0.1" : "192.168.77.2", 80);
    asked.in_interface = "";
    asked.source_port_known = false;
    asked.mark = maker.below(8);
    const Walk all = walk(rules.set, asked, node());
    REQUIRE_FALSE(all.cut);
    std::vector<std::string> possible;
    for (const Outcome& outcome : all.outcomes) possible.push_back(told(outcome));
    (possible.size() > 1 ? several : certain) += 1;
    for (int variant = 0; variant < 8; ++variant) {
      const Ruleset decided = maker.decided(rules.set);
      const Walk one = walk(decided, maker.known(asked), node());
      REQUIRE(one.outcomes.size() == 1);
      CHECK(one.outcomes.front().doubts.empty());
      INFO("round " << round << ", variant " << variant << ": " << fmt::format("{}", fmt::join(possible, "; ")));
      CHECK(std::ranges::count(possible, told(one.outcomes.front())) == 1);
    }
  }
  CHECK(several > 90);
  CHECK(certain > 90);
}

}  // namespace
}  // namespace kubenatd::rules::walk::test
