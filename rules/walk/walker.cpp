#include "rules/walk/walker.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "rules/walk/judge_rule.h"
#include "rules/walk/routing.h"
#include "rules/walk/way.h"

namespace kubenatd::rules::walk {
namespace {

constexpr std::size_t kMostHops = 1'000'000;
constexpr std::size_t kMostOutcomes = 20'000;
constexpr std::size_t kDeepest = 16;         // NFT_JUMP_STACK_SIZE of Linux 6.x
constexpr std::size_t kDeepestLegacy = 256;  // x_tables has room for every chain once
constexpr std::int32_t kConntrack = -200;    // NF_IP_PRI_CONNTRACK

/// Surroundings whose answers about routes are kept: rules ask the same again and again.
[[nodiscard]] Surroundings with_kept_routes(const Surroundings& surroundings) {
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

class Walker {
 public:
  Walker(const Ruleset& ruleset, const Packet& packet, const Surroundings& surroundings)
      : ruleset_(ruleset), surroundings_(with_kept_routes(surroundings)), hooks_(ruleset, packet.destination.family) {}

  [[nodiscard]] Walk walk(const Packet& packet) {
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

 private:
  void tidy() {
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

  /// To the end of this way; ways that split off are put on open_.
  void follow(Way& way) {
    for (;;) {
      if (way.stack.empty() && !next_chain(way)) return;
      if (!step(way)) return;
    }
  }

  /// A way that goes on later. One that waits in the same place already takes its odds.
  void put(Way&& way) {
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

  // Hooks.

  /// Runs what is next at the hook, up to the next chain. False when the way has ended.
  bool next_chain(Way& way) {
    for (;;) {
      if (way.running != nullptr && !leave_base(way)) return false;
      const std::vector<AtHook>& all = hooks_.at(way.state.hook);
      if (way.entry == all.size()) {
        track(way);
        if (!leave_hook(way)) return false;
        continue;
      }
      const AtHook& next = all[way.entry++];
      if (next.priority >= kConntrack) track(way);
      if (next.chain == nullptr) {
        if (!finish_nat(way)) return false;
        continue;
      }
      if (next.is_nat && !nat_looks(way)) continue;
      if (!is_here(way, next)) continue;
      way.running = &next;
      way.routed_by = next.chain->base->type == Base::Type::kRoute ? routing_key(way.state) : std::string();
      if (next.chain->unread) return meet_unread(way, *next.chain);
      way.stack.push_back({next.chain, 0});
      way.is_new_here = true;
      return true;
    }
  }

  /// Connection tracking sees the packet, when no rule has kept it away before.
  static void track(Way& way) {
    const Hook hook = way.state.hook;
    if (hook != Hook::kPrerouting && hook != Hook::kOutput) return;
    if (way.state.tracking == PacketState::Tracking::kNotYet) way.state.tracking = PacketState::Tracking::kTracked;
  }

  [[nodiscard]] static bool changes_source(Hook hook) { return hook == Hook::kPostrouting || hook == Hook::kInput; }

  /// Whether rules of nat are asked: for a tracked connection that has no mapping of that kind yet.
  [[nodiscard]] static bool nat_looks(const Way& way) {
    if (way.state.tracking != PacketState::Tracking::kTracked || way.nat_done) return false;
    return changes_source(way.state.hook) ? !way.state.source_done : !way.state.destination_done;
  }

  /// Behind the chains of nat: a connection that no rule translated keeps its addresses for good.
  bool finish_nat(Way& way) {
    PacketState& state = way.state;
    if (state.tracking != PacketState::Tracking::kTracked) return true;
    (changes_source(state.hook) ? state.source_done : state.destination_done) = true;
    way.memory.reset();
    const bool moved = state.packet.destination != state.original.destination || state.last_destination;
    if (state.hook != Hook::kOutput || !way.nat_done || !moved) return true;
    return take(way, route_sent(state, surroundings_, true));
  }

  /// Chains of devices are for their own. When the packet's is not known, or stands on others, nobody can tell.
  bool is_here(Way& way, const AtHook& next) {
    const Base& base = *next.chain->base;
    if (base.hook != Hook::kIngress && base.hook != Hook::kEgress) return true;
    const bool ingress = base.hook == Hook::kIngress;
    const std::optional<std::string>& device = ingress ? way.state.in_interface : way.state.out_interface;
    if (device && is_for_device(base, *device)) return true;
    if (device && !stands_on_others(*device)) return false;
    if (next.chain->rules.empty() && !base.policy_drop && !next.chain->unread) return false;
    way.outcome.odds_known = false;
    way.outcome.odds /= 2;
    Way other = way;
    note_doubt(other, next, true);
    other.running = &next;
    other.stack.push_back({next.chain, 0});
    put(std::move(other));
    note_doubt(way, next, false);
    return false;
  }

  [[nodiscard]] bool stands_on_others(const std::string& device) const {
    if (device.empty() || device == "lo" || !surroundings_.interface_facts) return false;
    const auto facts = surroundings_.interface_facts(device);
    if (!facts) return false;
    constexpr std::string_view kKinds[] = {"bridge", "vlan", "bond", "team", "macvlan", "ipvlan", "vrf"};
    return std::ranges::find(kKinds, facts->kind) != std::end(kKinds);
  }

  void note_doubt(Way& way, const AtHook& at, bool assumed) {
    Hop& hop = note(way, at.table, at.chain, nullptr);
    hop.fit = Fit::kUnknown;
    hop.part = Part::kInInterface;
    hop.assumed = assumed;
    way.outcome.doubts.push_back(way.outcome.last);
  }

  /// After all chains of a hook.
  bool leave_hook(Way& way) {
    PacketState& state = way.state;
    way.entry = 0;
    way.nat_done = false;
    way.memory.reset();
    switch (state.hook) {
      case Hook::kIngress: return enter(way, Hook::kPrerouting);
      case Hook::kPrerouting:
        if (state.looped) return enter(way, Hook::kInput);  // where it goes was decided when it was sent
        if (!take(way, route_arrived(state, surroundings_))) return false;
        if (way.local) return enter(way, Hook::kInput);
        state.out_interface = out_interface(way);
        return enter(way, Hook::kForward);
      case Hook::kForward: return enter(way, Hook::kPostrouting);
      case Hook::kOutput: state.out_interface = out_interface(way); return enter(way, Hook::kPostrouting);
      case Hook::kPostrouting: return enter(way, Hook::kEgress);
      case Hook::kEgress:
        if (!way.local) return finish(way, End::kForwarded);
        state.looped = true;
        state.in_interface = "lo";
        state.out_interface = "";
        return enter(way, Hook::kIngress);
      case Hook::kInput: return finish(way, End::kLocal);
    }
    return false;
  }

  static bool enter(Way& way, Hook hook) {
    way.state.hook = hook;
    if (hook == Hook::kInput) way.state.out_interface = "";
    return true;
  }

  [[nodiscard]] std::optional<std::string> out_interface(const Way& way) const {
    if (way.local) return "lo";
    if (way.route.interface.empty()) return std::nullopt;
    return way.route.interface;
  }

  /// What routing decided. False when the way has ended.
  bool take(Way& way, Routed&& routed) {
    way.route = std::move(routed.answer);
    way.local = routed.local;
    if (routed.uncertain) way.uncertain = routed.uncertain;
    if (!routed.end) return true;
    way.outcome.cause = routed.end->second;
    return finish(way, routed.end->first);
  }

  // Rules.

  /// The next rule of the innermost chain, or its end. False when the way has ended.
  bool step(Way& way) {
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

  /// Follows the branch on which the rule does not count, or the last one; the others go on later.
  bool go(Way& way, const WalkRule& rule, std::vector<Branch>&& branches) {
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

  /// A rule that gives clients who came lately the endpoint they had: which one, later rules of the hook will tell.
  void remember_place(Way& way, const WalkRule& rule, const std::vector<Branch>& branches) {
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

  /// The client that was at this endpoint lately gets it again.
  void give_again(const Way& way, const PacketState& given) {
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

  /// One branch of a rule. False when the way has ended.
  bool apply(Way& way, const WalkRule& rule, Branch&& branch, bool splits) {
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

  bool obey(Way& way, const ToVerdict& verdict) {
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

  bool enter_chain(Way& way, const ToVerdict& verdict) {
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

  bool meet_unread(Way& way, const WalkChain& chain) {
    note(way, way.running->table, &chain, nullptr).fit = Fit::kUnknown;
    way.outcome.doubts.push_back(way.outcome.last);
    return finish(way, End::kUnknown);
  }

  /// A chain without a verdict: back to the caller, or the policy.
  bool leave_chain(Way& way) {
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

  /// After a base chain that let the packet through. False when the way has ended.
  bool leave_base(Way& way) {
    const AtHook& left = *way.running;
    way.running = nullptr;
    const std::string before = std::exchange(way.routed_by, {});
    if (left.chain->base->type != Base::Type::kRoute || way.state.hook != Hook::kOutput) return true;
    if (routing_key(way.state) == before) return true;
    return take(way, route_sent(way.state, surroundings_, true));
  }

  Hop& note(Way& way, const WalkTable* table, const WalkChain* chain, const WalkRule* rule) {
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

  bool finish(Way& way, End end) {
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

  const Ruleset& ruleset_;
  const Surroundings surroundings_;
  const Hooks hooks_;
  SetIndexes indexes_;
  std::vector<Way> open_;
  std::unordered_map<std::string, std::size_t> waiting_;  ///< where in open_, by key
  std::unordered_set<std::string> seen_;                  ///< states of ways of unknown odds
  Walk result_;
};

}  // namespace

std::vector<std::uint32_t> Walk::path(const Outcome& outcome) const {
  std::vector<std::uint32_t> indices;
  for (std::uint32_t at = outcome.last; at != Hop::kNone; at = hops[at].before) indices.push_back(at);
  std::ranges::reverse(indices);
  return indices;
}

Walk walk(const Ruleset& ruleset, const Packet& packet, const Surroundings& surroundings) {
  return Walker(ruleset, packet, surroundings).walk(packet);
}

}  // namespace kubenatd::rules::walk
