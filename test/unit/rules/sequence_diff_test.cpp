#include "rules/sequence_diff.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <vector>

namespace {

using kubenatd::rules::diff_sequences;
using kubenatd::rules::Digest;
using kubenatd::rules::JumpInsertion;
using kubenatd::rules::LiveRuleRef;
using kubenatd::rules::missing_jumps;
using kubenatd::rules::SequenceEdit;

Digest digest(std::uint64_t value) {
  return {{value, value * 31}};
}

std::vector<LiveRuleRef> live_of(const std::vector<std::uint64_t>& values) {
  std::vector<LiveRuleRef> live;
  for (const std::uint64_t value : values) live.push_back({100 + live.size(), digest(value)});
  return live;
}

std::vector<Digest> digests_of(const std::vector<std::uint64_t>& values) {
  std::vector<Digest> all;
  for (const std::uint64_t value : values) all.push_back(digest(value));
  return all;
}

/// Does to a list what the kernel does to a chain: deletes by handle, inserts before a handle or at the end.
std::vector<Digest> applied(std::vector<LiveRuleRef> live, const SequenceEdit& edit,
                            const std::vector<Digest>& wanted) {
  for (const std::uint64_t handle : edit.removed)
    REQUIRE(std::erase_if(live, [&](const LiveRuleRef& ref) { return ref.handle == handle; }) == 1);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (edit.handles[i] != 0) continue;
    const std::uint64_t next = edit.next_kept(i);
    auto place = next == 0 ? live.end() : std::ranges::find(live, next, &LiveRuleRef::handle);
    live.insert(place, {0, wanted[i]});
  }
  std::vector<Digest> result;
  for (const LiveRuleRef& ref : live) result.push_back(ref.digest);
  return result;
}

}  // namespace

TEST_CASE("equal chains need no edit") {
  const auto edit = diff_sequences(live_of({1, 2, 3}), digests_of({1, 2, 3}));
  CHECK(edit.empty());
  CHECK(edit.handles == std::vector<std::uint64_t>{100, 101, 102});
}

TEST_CASE("a rule in the middle is inserted before the one that follows it") {
  const auto edit = diff_sequences(live_of({1, 3}), digests_of({1, 2, 3}));
  CHECK(edit.removed.empty());
  CHECK(edit.handles == std::vector<std::uint64_t>{100, 0, 101});
  CHECK(edit.next_kept(1) == 101);
}

TEST_CASE("moving one rule touches that rule alone") {
  const auto edit = diff_sequences(live_of({9, 1, 2, 3, 4}), digests_of({1, 2, 3, 4, 9}));
  CHECK(edit.removed == std::vector<std::uint64_t>{100});
  CHECK(std::ranges::count(edit.handles, std::uint64_t{0}) == 1);
}

TEST_CASE("a doubled rule loses one copy") {
  const auto edit = diff_sequences(live_of({1, 2, 2, 3}), digests_of({1, 2, 3}));
  CHECK(edit.removed.size() == 1);
  CHECK(std::ranges::count(edit.handles, std::uint64_t{0}) == 0);
}

TEST_CASE("any two lists: the edit leads from one to the other") {
  std::mt19937 random(7);
  for (int round = 0; round < 500; ++round) {
    const auto draw = [&](std::size_t most) { return std::uniform_int_distribution<std::size_t>(0, most)(random); };
    std::vector<std::uint64_t> before(draw(12));
    std::vector<std::uint64_t> after(draw(12));
    for (auto& value : before) value = draw(8) + 1;
    for (auto& value : after) value = draw(8) + 1;
    const auto live = live_of(before);
    const auto wanted = digests_of(after);
    REQUIRE(applied(live, diff_sequences(live, wanted), wanted) == wanted);
  }
}

namespace {

/// The builtin chain after the insertions, foreign rules included.
std::vector<std::uint64_t> after_jumps(std::vector<std::pair<std::uint64_t, std::uint64_t>> chain,
                                       const std::vector<std::uint64_t>& wanted) {
  std::vector<LiveRuleRef> ours;
  for (const auto& [handle, value] : chain)
    if (value < 50) ours.push_back({handle, digest(value)});
  for (const JumpInsertion& one : missing_jumps(ours, digests_of(wanted))) {
    auto place = chain.begin();
    if (one.where != JumpInsertion::Where::kFirst)
      place = std::ranges::find(chain, one.neighbour, &std::pair<std::uint64_t, std::uint64_t>::first);
    if (one.where == JumpInsertion::Where::kAfter) ++place;
    chain.insert(place, {0, wanted[one.desired]});
  }
  std::vector<std::uint64_t> values;
  for (const auto& [handle, value] : chain) values.push_back(value);
  return values;
}

}  // namespace

TEST_CASE("jumps of ours go on top of an unknown chain, in order") {
  CHECK(after_jumps({{7, 90}, {8, 91}}, {1, 2, 3}) == std::vector<std::uint64_t>{1, 2, 3, 90, 91});
}

TEST_CASE("a missing jump goes next to its neighbours of ours, foreign rules stay where they are") {
  CHECK(after_jumps({{5, 90}, {6, 1}, {7, 3}, {8, 91}}, {1, 2, 3}) == std::vector<std::uint64_t>{90, 1, 2, 3, 91});
  CHECK(after_jumps({{5, 90}, {6, 1}, {8, 91}}, {1, 2, 3}) == std::vector<std::uint64_t>{90, 1, 2, 3, 91});
  CHECK(after_jumps({{5, 90}, {7, 3}, {8, 91}}, {1, 2, 3}) == std::vector<std::uint64_t>{90, 1, 2, 3, 91});
}

TEST_CASE("jumps that are all there are left alone, even out of order") {
  CHECK(after_jumps({{6, 3}, {7, 90}, {8, 1}}, {1, 3}) == std::vector<std::uint64_t>{3, 90, 1});
}
