#include "rules/walk/walker.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "rules/walk/way_follower.h"

namespace kubenatd::rules::walk {

namespace {

/// Surroundings whose answers about routes are kept: rules ask the same again and again.
Surroundings with_kept_routes(const Surroundings& surroundings) {
  Surroundings kept = surroundings;
  if (!surroundings.ask_route) return kept;
  auto answers = std::make_shared<std::unordered_map<std::string, RouteAnswer>>();
  kept.ask_route = [answers, ask = surroundings.ask_route](const RouteQuestion& question) {
    std::string key = question.destination.to_string();
    key += '/' + (question.source ? question.source->to_string() : std::string());
    key += '/' + question.in_interface.value_or("/");
    key += '/' + std::to_string(question.mark) + '/' + std::to_string(question.unknown_mark);
    const auto found = answers->find(key);
    if (found != answers->end()) return found->second;
    return answers->emplace(std::move(key), ask(question)).first->second;
  };
  return kept;
}

}  // namespace

WayFollower::WayFollower(const Ruleset& ruleset, const Packet& packet, const Surroundings& surroundings)
    : ruleset_(ruleset), surroundings_(with_kept_routes(surroundings)), hooks_(ruleset, packet.destination.family) {}

Walk WayFollower::walk(const Packet& packet) {
  Way first;
  first.state.packet = first.state.original = packet;
  first.state.mark.bits = packet.mark;
  first.state.priority.unknown = ~0U;
  if (packet.origin == Packet::Origin::kArriving) {
    if (!packet.in_interface.empty()) first.state.in_interface = packet.in_interface;
    first.state.out_interface = "";
    first.state.hook = Hook::kIngress;
    open_.push_back(std::move(first));
  } else {
    first.state.in_interface = "";
    if (take(first, route_sent(first.state, surroundings_, false))) {
      first.state.hook = Hook::kOutput;
      first.state.out_interface = out_interface(first);
      open_.push_back(std::move(first));
    }
  }
  while (!open_.empty()) {
    Way way = std::move(open_.back());
    open_.pop_back();
    waiting_.erase(key_of(way));
    if (result_.hops.size() >= kMostHops || result_.outcomes.size() >= kMostOutcomes) {
      result_.cut = true;
      break;
    }
    follow(way);
  }
  tidy();
  return std::move(result_);
}

void WayFollower::tidy() {
  std::vector<Outcome>& outcomes = result_.outcomes;
  std::ranges::reverse(outcomes);  // the way that splits off first is followed last
  join_equal(outcomes);
  const auto usual = [](const Outcome& outcome) { return !outcome.remembered; };
  std::ranges::stable_partition(outcomes, usual);
  // However the doubts are resolved, it ends here.
  if (std::ranges::count_if(outcomes, usual) == 1 && !result_.cut) {
    outcomes.front().odds = 1;
    outcomes.front().odds_known = true;
  }
}

void WayFollower::follow(Way& way) {
  for (;;) {
    if (way.stack.empty() && !next_chain(way)) return;
    if (!step(way)) return;
  }
}

void WayFollower::put(Way&& way) {
  if (open_.size() + result_.outcomes.size() >= kMostOutcomes) {
    result_.cut = true;
    return;
  }
  const auto [at, is_new] = waiting_.try_emplace(key_of(way), open_.size());
  if (is_new) {
    open_.push_back(std::move(way));
    return;
  }
  Outcome& other = open_[at->second].outcome;
  if (!other.remembered) other.odds += way.outcome.odds;
  other.odds_known = other.odds_known && way.outcome.odds_known;
}

std::vector<std::uint32_t> Walk::path(const Outcome& outcome) const {
  std::vector<std::uint32_t> indices;
  for (std::uint32_t at = outcome.last; at != Hop::kNone; at = hops[at].before) indices.push_back(at);
  std::ranges::reverse(indices);
  return indices;
}

Walk walk(const Ruleset& ruleset, const Packet& packet, const Surroundings& surroundings) {
  return WayFollower(ruleset, packet, surroundings).walk(packet);
}

}  // namespace kubenatd::rules::walk
