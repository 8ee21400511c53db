#include <algorithm>
#include <memory>
#include <utility>

#include "rules/walk/way_follower.h"

/// What rules do to a way: branches, verdicts, chains.
namespace kubenatd::rules::walk {

namespace {

constexpr std::size_t kDeepest = 16;         // NFT_JUMP_STACK_SIZE of Linux 6.x
constexpr std::size_t kDeepestLegacy = 256;  // x_tables has room for every chain once

}  // namespace

bool WayFollower::step(Way& way) {
  Frame& frame = way.stack.back();
  if (way.is_new_here) {
    way.is_new_here = false;
    // Another way is followed from this very state.
    if (!way.outcome.odds_known && !seen_.insert(key_of(way)).second) return false;
  }
  if (frame.next == frame.chain->rules.size()) return leave_chain(way);
  const WalkRule& rule = frame.chain->rules[frame.next++];
  if (result_.hops.size() >= kMostHops) {
    result_.cut = true;
    return false;
  }
  if (const std::optional<Part> part = plain_mismatch(rule, way.state, surroundings_)) {
    Hop& hop = note(way, way.running->table, frame.chain, &rule);
    hop.fit = Fit::kNo;
    hop.part = *part;
    return true;
  }
  return go(way, rule, judge(ruleset_, *way.running->table, rule, way.state, surroundings_, indexes_));
}

bool WayFollower::go(Way& way, const WalkRule& rule, std::vector<Branch>&& branches) {
  if (branches.empty()) return true;
  const bool splits = branches.size() > 1;
  if (splits) way.is_new_here = true;
  remember_place(way, rule, branches);
  std::size_t stays = branches.size() - 1;
  for (std::size_t i = 0; i < branches.size(); ++i) {
    const Branch& branch = branches[i];
    const bool passes = branch.fit == Fit::kNo || (branch.fit == Fit::kUnknown && !branch.assumed);
    if (passes && !branch.remembered && branch.verdict.verdict == Verdict::kContinue && !branch.anything) {
      stays = i;
      break;
    }
  }
  for (std::size_t i = 0; i < branches.size(); ++i) {
    if (i == stays || branches[i].destination_from_memory) continue;
    Way other = way;
    if (apply(other, rule, std::move(branches[i]), splits)) put(std::move(other));
  }
  if (branches[stays].destination_from_memory) return false;
  return apply(way, rule, std::move(branches[stays]), splits);
}

void WayFollower::remember_place(Way& way, const WalkRule& rule, const std::vector<Branch>& branches) {
  const auto asks = std::ranges::find_if(branches, &Branch::destination_from_memory);
  if (asks == branches.end()) return;
  auto memory = std::make_shared<Way>(way);
  memory->memory.reset();
  Hop& hop = note(*memory, way.running->table, way.stack.back().chain, &rule);
  hop.fit = Fit::kIfRemembered;
  hop.verdict.verdict = Verdict::kAccept;
  hop.translated = true;
  hop.looked_up = asks->looked_up;
  memory->outcome.remembered = true;
  memory->outcome.odds = 1;
  memory->outcome.odds_known = true;
  way.memory = std::move(memory);
}

void WayFollower::give_again(const Way& way, const PacketState& given) {
  Way again = *way.memory;
  PacketState& state = again.state;
  state.packet.destination = given.packet.destination;
  state.packet.destination_port = given.packet.destination_port;
  state.last_destination = given.last_destination;
  state.last_destination_port = given.last_destination_port;
  state.own_destination = given.own_destination;
  state.destination_changed = given.destination_changed;
  state.destination_done = true;
  again.nat_done = true;
  again.stack.clear();
  put(std::move(again));
}

bool WayFollower::apply(Way& way, const WalkRule& rule, Branch&& branch, bool splits) {
  Outcome& outcome = way.outcome;
  const PacketState before = std::exchange(way.state, std::move(branch.after));
  const PacketState& after = way.state;
  Hop& hop = note(way, way.running->table, way.stack.back().chain, &rule);
  hop.mark = before.mark;
  hop.fit = branch.fit;
  hop.part = branch.part;
  hop.assumed = branch.assumed;
  hop.verdict = branch.verdict;
  hop.looked_up = std::move(branch.looked_up);
  hop.marked = before.mark != after.mark;
  hop.translated = branch.nat_done &&
                   (after.destination_changed || after.source_changed || after.masqueraded || after.own_destination);
  if (branch.fit == Fit::kUnknown &&
      (splits || hop.marked || before.connmark != after.connmark || before.priority != after.priority))
    outcome.doubts.push_back(outcome.last);
  if (branch.remembered) {
    outcome.remembered = true;
    outcome.odds = 1;
    outcome.odds_known = branch.odds_known;
  } else {
    outcome.odds *= branch.odds;
    outcome.odds_known = outcome.odds_known && branch.odds_known;
  }
  if (branch.anything) return finish(way, End::kUnknown);
  if (branch.refuse != nullptr) return finish(way, End::kRejected);
  if (branch.nat_done) {
    way.nat_done = true;
    if (way.memory != nullptr && after.destination_done && !before.destination_done) give_again(way, after);
  }
  return obey(way, branch.verdict);
}

bool WayFollower::obey(Way& way, const ToVerdict& verdict) {
  switch (verdict.verdict) {
    case Verdict::kContinue: return true;
    case Verdict::kAccept: way.stack.clear(); return true;
    case Verdict::kDrop: return finish(way, End::kDropped);
    case Verdict::kReturn: return leave_chain(way);
    case Verdict::kJump:
    case Verdict::kGoto: return enter_chain(way, verdict);
    case Verdict::kQueue:
    case Verdict::kStolen: return finish(way, End::kUnknown);
    case Verdict::kQueueBypass: {
      way.outcome.odds_known = false;
      way.outcome.odds /= 2;
      way.outcome.doubts.push_back(way.outcome.last);
      Way other = way;
      finish(other, End::kUnknown);
      way.stack.clear();
      return true;
    }
  }
  return true;
}

bool WayFollower::enter_chain(Way& way, const ToVerdict& verdict) {
  const WalkTable& table = *way.running->table;
  const WalkChain* chain = table.chain(verdict.chain);
  if (chain == nullptr) return finish(way, End::kUnknown);  // its rules are not here to be judged
  if (chain->unread) return meet_unread(way, *chain);
  if (way.stack.size() >= (table.legacy ? kDeepestLegacy : kDeepest)) {
    result_.cut = true;
    return finish(way, End::kUnknown);
  }
  // A goto leaves nothing to come back to, but a base chain keeps its place: its policy counts in the end.
  if (verdict.verdict == Verdict::kGoto) {
    if (way.stack.size() == 1) {
      way.stack.back().next = way.stack.back().chain->rules.size();
    } else {
      way.stack.pop_back();
    }
  }
  way.stack.push_back({chain, 0});
  way.is_new_here = true;
  return true;
}

bool WayFollower::meet_unread(Way& way, const WalkChain& chain) {
  note(way, way.running->table, &chain, nullptr).fit = Fit::kUnknown;
  way.outcome.doubts.push_back(way.outcome.last);
  return finish(way, End::kUnknown);
}

bool WayFollower::leave_chain(Way& way) {
  const WalkChain& chain = *way.stack.back().chain;
  way.stack.pop_back();
  way.is_new_here = true;
  if (!way.stack.empty()) return true;
  if (!chain.base || !chain.base->policy_drop) return true;
  Hop& hop = note(way, way.running->table, &chain, nullptr);
  hop.fit = Fit::kYes;
  hop.verdict.verdict = Verdict::kDrop;
  return finish(way, End::kDropped);
}

Hop& WayFollower::note(Way& way, const WalkTable* table, const WalkChain* chain, const WalkRule* rule) {
  Hop& hop = result_.hops.emplace_back();
  hop.table = table;
  hop.chain = chain;
  hop.rule = rule;
  hop.hook = way.state.hook;
  hop.before = way.outcome.last;
  hop.mark = way.state.mark;
  way.outcome.last = static_cast<std::uint32_t>(result_.hops.size() - 1);
  return hop;
}

bool WayFollower::finish(Way& way, End end) {
  Outcome& outcome = way.outcome;
  outcome.end = end;
  if (way.uncertain && (end == End::kForwarded || end == End::kLocal)) {
    outcome.end = End::kUnknown;
    outcome.cause = *way.uncertain;
  }
  outcome.state = std::move(way.state);
  outcome.route = std::move(way.route);
  result_.outcomes.push_back(std::move(outcome));
  return false;
}

}  // namespace kubenatd::rules::walk
