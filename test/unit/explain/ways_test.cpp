#include "agent/explain/ways.h"

#include <catch2/catch.hpp>
#include <deque>

namespace kubenatd::agent::test {
namespace {

using explain::join_ways;
using explain::Ways;
using rules::walk::End;
using rules::walk::Fit;
using rules::walk::Outcome;
using rules::walk::Walk;

/// A walk that is put together by hand: every outcome has the doubts that led to it.
class Made {
 public:
  explicit Made(std::size_t rules) {
    chain_.name = "FORWARD";
    chain_.rules.resize(rules);
  }
  std::uint32_t doubt(std::size_t rule, bool assumed) {
    rules::walk::Hop& hop = walk.hops.emplace_back();
    hop.table = &table_;
    hop.chain = &chain_;
    hop.rule = &chain_.rules.at(rule);
    hop.fit = Fit::kUnknown;
    hop.assumed = assumed;
    return static_cast<std::uint32_t>(walk.hops.size() - 1);
  }
  void end(End end, const std::string& address, double odds, std::vector<std::uint32_t> doubts = {}) {
    Outcome outcome;
    outcome.end = end;
    outcome.odds = odds;
    outcome.odds_known = doubts.empty();
    outcome.doubts = std::move(doubts);
    if (end == End::kForwarded) {
      outcome.state.packet.destination = rules::Address::parse(address).value();
      outcome.state.destination_changed = true;
    }
    walk.outcomes.push_back(std::move(outcome));
  }

  Walk walk;

 private:
  rules::walk::WalkTable table_;
  rules::walk::WalkChain chain_;
};

}  // namespace

TEST_CASE("ways: draws that lead to one endpoint are one way with the odds of all") {
  Made made(0);
  made.end(End::kForwarded, "10.244.1.5", 0.25);
  made.end(End::kForwarded, "10.244.1.6", 0.25);
  made.end(End::kForwarded, "10.244.1.5", 0.375);
  made.end(End::kForwarded, "10.244.1.6", 0.125);
  const Ways ways = join_ways(made.walk);
  REQUIRE(ways.ways.size() == 2);
  CHECK(ways.ways[0].odds == Approx(0.625));
  CHECK(ways.ways[0].outcome == &made.walk.outcomes[2]);
  CHECK(ways.ways[1].odds == Approx(0.375));
  CHECK(ways.ways[1].odds_known);
  CHECK_FALSE(ways.is_doubtful);
}

TEST_CASE("ways: a doubt whose ways end differently decides, and the odds are not known") {
  Made made(1);
  made.end(End::kForwarded, "10.244.1.5", 1, {made.doubt(0, false)});
  made.end(End::kDropped, "", 1, {made.doubt(0, true)});
  const Ways ways = join_ways(made.walk);
  CHECK(ways.is_doubtful);
  CHECK(ways.doubts.size() == 1);
  REQUIRE(ways.ways.size() == 2);
  CHECK_FALSE(ways.ways[0].odds_known);
  CHECK_FALSE(ways.ways[1].odds_known);
}

TEST_CASE("ways: a doubt whose ways all come to the same ends decides nothing") {
  Made both(1);
  both.end(End::kForwarded, "10.244.1.5", 1, {both.doubt(0, false)});
  both.end(End::kForwarded, "10.244.1.5", 1, {both.doubt(0, true)});
  const Ways one = join_ways(both.walk);
  REQUIRE(one.ways.size() == 1);
  CHECK(one.ways[0].odds_known);
  CHECK(one.ways[0].odds == 1);
  CHECK_FALSE(one.is_doubtful);
  CHECK(one.doubts.empty());

  // Both sides came to the same state, where chance chose.
  Made joined(1);
  const std::vector<std::uint32_t> doubts{joined.doubt(0, false), joined.doubt(0, true)};
  joined.end(End::kForwarded, "10.244.1.5", 0.5, doubts);
  joined.end(End::kForwarded, "10.244.1.6", 0.5, doubts);
  const Ways two = join_ways(joined.walk);
  REQUIRE(two.ways.size() == 2);
  CHECK(two.ways[0].odds_known);
  CHECK(two.ways[1].odds == Approx(0.5));
  CHECK_FALSE(two.is_doubtful);

  // Of the other side nothing is left: it ends nowhere else, but the odds may be others.
  Made half(1);
  const std::uint32_t doubt = half.doubt(0, false);
  half.end(End::kForwarded, "10.244.1.5", 0.5, {doubt});
  half.end(End::kForwarded, "10.244.1.6", 0.5, {doubt});
  CHECK_FALSE(join_ways(half.walk).ways.at(0).odds_known);
  CHECK_FALSE(join_ways(half.walk).is_doubtful);
}

TEST_CASE("ways: one of several doubts is enough, and all are named then") {
  Made made(2);
  made.end(End::kForwarded, "10.244.1.5", 1, {made.doubt(0, false), made.doubt(1, false)});
  made.end(End::kRejected, "", 1, {made.doubt(0, false), made.doubt(1, true)});
  const Ways ways = join_ways(made.walk);
  CHECK(ways.is_doubtful);
  CHECK(ways.doubts.size() == 2);
}

TEST_CASE("ways: an end to which chance leads as well as a doubt is sure, its odds are not known") {
  Made made(1);
  made.end(End::kDropped, "", 0.5);
  made.end(End::kDropped, "", 0.25, {made.doubt(0, true)});
  made.end(End::kForwarded, "10.244.1.5", 0.25, {made.doubt(0, false)});
  const Ways ways = join_ways(made.walk);
  REQUIRE(ways.ways.size() == 2);
  CHECK(ways.ways[0].is_sure);
  CHECK_FALSE(ways.ways[0].odds_known);
  CHECK_FALSE(ways.ways[1].is_sure);
}

TEST_CASE("ways: what is masqueraded only maybe is in doubt, but not where it goes") {
  Made made(1);
  made.end(End::kForwarded, "10.244.1.5", 1, {made.doubt(0, false)});
  made.end(End::kForwarded, "10.244.1.5", 1, {made.doubt(0, true)});
  made.walk.outcomes.back().state.masqueraded = true;
  const Ways ways = join_ways(made.walk);
  CHECK(ways.ways.size() == 2);
  CHECK_FALSE(ways.is_doubtful);
  CHECK(ways.doubts.size() == 1);
  CHECK_FALSE(ways.ways[0].odds_known);
}

TEST_CASE("ways: SNAT replaces the source as masquerading does, and so does a rule that writes the header") {
  Made made(0);
  made.end(End::kForwarded, "10.244.1.5", 0.25);
  made.end(End::kForwarded, "10.244.1.5", 0.25);
  made.end(End::kForwarded, "10.244.1.5", 0.5);
  made.walk.outcomes[1].state.source_changed = true;
  made.walk.outcomes[2].state.packet.source = rules::Address::parse("192.0.2.1").value();
  const Ways ways = join_ways(made.walk);
  REQUIRE(ways.ways.size() == 2);
  CHECK(ways.ways[1].odds == Approx(0.75));
}

TEST_CASE("ways: a walk that was cut is certain of nothing that a doubt led to") {
  Made made(1);
  made.end(End::kForwarded, "10.244.1.5", 1, {made.doubt(0, false)});
  made.walk.cut = true;
  CHECK_FALSE(join_ways(made.walk).ways.at(0).odds_known);
  CHECK(join_ways(Walk{}).ways.empty());
}

}  // namespace kubenatd::agent::test
