#include "rules/former_walk/walker.h"

#include <algorithm>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <variant>

namespace kubenatd::rules::former_walk {
namespace {

constexpr std::size_t kMostHops = 1'000'000;
constexpr std::size_t kMostOutcomes = 20'000;
constexpr std::size_t kDeepest = 16;  // NFT_JUMP_STACK_SIZE of Linux 6.x

struct Stage {
  Table table;
  std::string_view chain;
};

constexpr Stage kArriving[] = {{Table::kMangle, "PREROUTING"}, {Table::kNat, "PREROUTING"}};
constexpr Stage kToLocal[] = {{Table::kMangle, "INPUT"}, {Table::kFilter, "INPUT"}, {Table::kNat, "INPUT"}};
constexpr Stage kThrough[] = {{Table::kMangle, "FORWARD"},
                              {Table::kFilter, "FORWARD"},
                              {Table::kMangle, "POSTROUTING"},
                              {Table::kNat, "POSTROUTING"}};
constexpr Stage kSending[] = {{Table::kMangle, "OUTPUT"},
                              {Table::kNat, "OUTPUT"},
                              {Table::kFilter, "OUTPUT"},
                              {Table::kMangle, "POSTROUTING"},
                              {Table::kNat, "POSTROUTING"}};
// A packet of the node to itself comes in again by lo. Its connection is known then, so nat has had its say.
constexpr Stage kLooped[] = {{Table::kMangle, "PREROUTING"}, {Table::kMangle, "INPUT"}, {Table::kFilter, "INPUT"}};

struct Frame {
  const WalkChain* chain = nullptr;
  std::size_t next = 0;
};

/// One way, as far as it has come.
struct Way {
  PacketNow now;
  std::span<const Stage> stages;
  std::size_t stage = 0;
  std::vector<Frame> stack;  ///< the innermost chain last
  Outcome outcome;
};

class Walker {
 public:
  Walker(const Ruleset& ruleset, const Surroundings& surroundings) : ruleset_(ruleset), surroundings_(surroundings) {}

  [[nodiscard]] Walk walk(const Packet& packet) {
    Way first;
    first.now.packet = packet;
    const bool arriving = packet.origin == Packet::Origin::kArriving;
    first.stages = arriving ? std::span<const Stage>(kArriving) : std::span<const Stage>(kSending);
    open_.push_back(std::move(first));
    while (!open_.empty()) {
      Way way = std::move(open_.back());
      open_.pop_back();
      if (result_.hops.size() >= kMostHops || result_.outcomes.size() >= kMostOutcomes) {
        result_.cut = true;
        break;
      }
      follow(way);
    }
    std::ranges::reverse(result_.outcomes);  // the way that splits off first is followed last
    join_equal_outcomes();
    // However the doubts are resolved, it ends here.
    const auto usual = [](const Outcome& outcome) { return !outcome.remembered; };
    if (std::ranges::count_if(result_.outcomes, usual) == 1 && !result_.cut) {
      Outcome& only = *std::ranges::find_if(result_.outcomes, usual);
      only.odds = 1;
      only.odds_known = true;
    }
    return std::move(result_);
  }

 private:
  /// Of ways of unknown odds that end alike, one is told.
  void join_equal_outcomes() {
    std::vector<Outcome> kept;
    const auto same_end = [](const Outcome& one, const Outcome& other) {
      return !one.odds_known && !other.odds_known && one.end == other.end && one.remembered == other.remembered &&
             one.packet.destination == other.packet.destination &&
             one.packet.destination_port == other.packet.destination_port &&
             one.destination_changed == other.destination_changed && one.masqueraded == other.masqueraded;
    };
    for (Outcome& outcome : result_.outcomes)
      if (std::ranges::none_of(kept, [&](const Outcome& one) { return same_end(one, outcome); }))
        kept.push_back(std::move(outcome));
    result_.outcomes = std::move(kept);
  }

  /// To the end of this way; ways that split off are put on open_.
  void follow(Way& way) {
    for (;;) {
      if (way.stack.empty() && !enter_stage(way)) return;
      if (!step(way)) return;
    }
  }

  /// The next chain that a hook starts at; false when the packet has passed them all.
  bool enter_stage(Way& way) {
    for (;;) {
      if (way.stage == way.stages.size() && !route(way)) return false;
      const Stage& stage = way.stages[way.stage++];
      set_interfaces(way, stage.chain);
      if (const WalkChain* chain = ruleset_.find(stage.table, stage.chain)) {
        way.stack.push_back({chain, 0});
        return true;
      }
    }
  }

  /// After the stages of one part of the way: where it goes on. False at the end.
  bool route(Way& way) {
    const bool local = surroundings_.is_local(way.now.packet.destination);
    const Stage* done = way.stages.data();
    way.stage = 0;
    if (done == kArriving) {
      way.stages = local ? std::span<const Stage>(kToLocal) : std::span<const Stage>(kThrough);
      return true;
    }
    if (done == kSending && local) {
      way.stages = kLooped;
      return true;
    }
    finish(way, local ? End::kLocal : End::kForwarded);
    return false;
  }

  void set_interfaces(Way& way, std::string_view hook) const {
    const Packet& packet = way.now.packet;
    const bool arriving = packet.origin == Packet::Origin::kArriving;
    way.now.in_interface = "";
    way.now.out_interface = "";
    if (hook == "OUTPUT" || hook == "FORWARD" || hook == "POSTROUTING")
      way.now.out_interface = surroundings_.interface_to(packet.destination);
    if (hook == "PREROUTING" || hook == "INPUT" || hook == "FORWARD") {
      way.now.in_interface = arriving ? packet.in_interface : "lo";
      if (arriving && packet.in_interface.empty()) way.now.in_interface.reset();
    }
  }

  /// The next rule of the innermost chain, or its end. False when the way has ended.
  bool step(Way& way) {
    Frame& frame = way.stack.back();
    if (frame.next == frame.chain->rules.size()) return leave_chain(way);
    const WalkRule& rule = frame.chain->rules[frame.next++];
    if (!way.outcome.odds_known && !is_first_here(way)) return false;  // another way is followed from this very state
    const Judgement judgement = judge(rule, way.now, surroundings_);
    if (judgement.fit == Fit::kUnknown) {
      doubt(way, rule, judgement);
      return true;
    }
    if (judgement.fit == Fit::kByChance || judgement.fit == Fit::kIfRemembered) {
      split(way, rule, judgement);
      return true;
    }
    note(way, *frame.chain, &rule, judgement);
    if (result_.hops.size() >= kMostHops) {
      result_.cut = true;
      return false;
    }
    return judgement.fit != Fit::kYes || apply(way, rule);
  }

  void note(Way& way, const WalkChain& chain, const WalkRule* rule, const Judgement& judgement) {
    result_.hops.push_back({.chain = &chain,
                            .rule = rule,
                            .before = way.outcome.last,
                            .mark = way.now.packet.mark,
                            .fit = judgement.fit,
                            .part = judgement.part});
    way.outcome.last = static_cast<std::uint32_t>(result_.hops.size() - 1);
  }

  /// The way for which the dice fell goes on later; this one goes on as if the rule did not fit.
  void split(Way& way, const WalkRule& rule, const Judgement& judgement) {
    const WalkChain& chain = *way.stack.back().chain;
    if (open_.size() + result_.outcomes.size() < kMostOutcomes) {
      Way other = way;
      note(other, chain, &rule, judgement);
      if (judgement.fit == Fit::kIfRemembered) {
        other.outcome.remembered = true;
        other.outcome.odds = 1;
      } else {
        other.outcome.odds *= judgement.odds;
      }
      if (apply(other, rule)) open_.push_back(std::move(other));
    } else {
      result_.cut = true;
    }
    if (judgement.fit == Fit::kByChance) way.outcome.odds *= 1 - judgement.odds;
    note(way, chain, &rule, {.fit = Fit::kNo, .part = Part::kNone});
  }

  /// A rule that fits or not, nobody knows: the way goes on in both manners, where that makes a difference.
  void doubt(Way& way, const WalkRule& rule, const Judgement& judgement) {
    const WalkChain& chain = *way.stack.back().chain;
    const auto note_doubt = [&](Way& on, bool assumed) {
      note(on, chain, &rule, judgement);
      result_.hops.back().assumed = assumed;
      on.outcome.doubts.push_back(on.outcome.last);
    };
    switch (effect_of(rule)) {
      case Effect::kNone: note(way, chain, &rule, judgement); return;
      case Effect::kMark:
        note_doubt(way, false);
        way.now.unknown_mark |= mark_bits(rule);
        return;
      case Effect::kDecides: break;
    }
    way.outcome.odds_known = false;
    if (open_.size() + result_.outcomes.size() < kMostOutcomes) {
      Way other = way;
      note_doubt(other, true);
      if (apply(other, rule)) open_.push_back(std::move(other));
    } else {
      result_.cut = true;
    }
    note_doubt(way, false);
  }

  enum class Effect : std::uint8_t { kNone, kMark, kDecides };
  [[nodiscard]] static Effect effect_of(const WalkRule& rule) {
    if (!rule.other_target.empty()) {
      switch (former_walk::effect_of(rule.other_target)) {
        case OtherEffect::kNone: return Effect::kNone;
        case OtherEffect::kMark: return Effect::kMark;
        default: return Effect::kDecides;
      }
    }
    if (std::holds_alternative<MarkTarget>(rule.rule.target)) return Effect::kMark;
    return std::holds_alternative<NoTarget>(rule.rule.target) ? Effect::kNone : Effect::kDecides;
  }

  /// Bits of the mark that the rule may set.
  [[nodiscard]] static std::uint32_t mark_bits(const WalkRule& rule) {
    const auto* mark = rule.other_target.empty() ? std::get_if<MarkTarget>(&rule.rule.target) : nullptr;
    return mark != nullptr ? mark->mask | mark->value : ~0U;
  }

  /// Whether no way of unknown odds has been in this state before.
  [[nodiscard]] bool is_first_here(const Way& way) {
    std::string state;
    const auto add = [&](const auto& value) { state.append(reinterpret_cast<const char*>(&value), sizeof value); };
    const auto add_place = [&](const void* place) { add(reinterpret_cast<std::uintptr_t>(place)); };
    add_place(way.stages.data());
    add(way.stage);
    for (const Frame& frame : way.stack) {
      add_place(frame.chain);
      add(frame.next);
    }
    const Packet& packet = way.now.packet;
    state.append(reinterpret_cast<const char*>(packet.destination.bytes.data()), packet.destination.bytes.size());
    add(packet.destination_port);
    add(packet.mark);
    add(way.now.unknown_mark);
    add(way.now.states);
    add(way.outcome.masqueraded);
    add(way.outcome.destination_changed);
    add(way.outcome.remembered);
    return seen_.insert(std::move(state)).second;
  }

  /// A chain without a verdict: back to the caller, or the policy.
  bool leave_chain(Way& way) {
    const WalkChain& chain = *way.stack.back().chain;
    way.stack.pop_back();
    if (!way.stack.empty()) return true;
    if (!chain.policy_drop) return true;
    note(way, chain, nullptr, {.fit = Fit::kYes});
    return finish(way, End::kDropped);
  }

  /// The target of a rule that fits. False when the way has ended.
  bool apply(Way& way, const WalkRule& rule) {
    if (!rule.other_target.empty()) return apply_other(way, rule);
    const Target& target = rule.rule.target;
    if (const auto* verdict = std::get_if<Verdict>(&target)) {
      switch (*verdict) {
        case Verdict::kAccept: way.stack.clear(); return true;
        case Verdict::kDrop: return finish(way, End::kDropped);
        case Verdict::kReturn: return leave_chain(way);
      }
    }
    if (const auto* jump = std::get_if<Jump>(&target)) return enter(way, *jump);
    if (const auto* mark = std::get_if<MarkTarget>(&target)) {
      way.now.packet.mark = (way.now.packet.mark & ~mark->mask) ^ mark->value;
      way.now.unknown_mark &= ~mark->mask;
      return true;
    }
    if (std::holds_alternative<MasqueradeTarget>(target)) return change_source(way);
    if (const auto* dnat = std::get_if<DnatTarget>(&target)) return change_destination(way, *dnat);
    if (std::holds_alternative<RejectTarget>(target)) return finish(way, End::kRejected);
    return true;
  }

  bool apply_other(Way& way, const WalkRule& rule) {
    switch (former_walk::effect_of(rule.other_target)) {
      case OtherEffect::kNone: return true;
      case OtherEffect::kMark: way.now.unknown_mark = ~0U; return true;
      case OtherEffect::kReject: return finish(way, End::kRejected);
      case OtherEffect::kSourceNat: return change_source(way);
      case OtherEffect::kUnknown: return finish(way, End::kUnknown);
    }
    return true;
  }

  bool enter(Way& way, const Jump& jump) {
    const WalkChain* chain = ruleset_.find(way.stack.back().chain->table, jump.chain);
    if (chain == nullptr) return true;  // a text may name a chain that it does not hold
    if (way.stack.size() >= kDeepest) {
      result_.cut = true;
      return finish(way, End::kUnknown);
    }
    // A goto leaves nothing to come back to, but a builtin chain keeps its place: its policy counts in the end.
    if (jump.is_goto) {
      if (way.stack.size() == 1) {
        way.stack.back().next = way.stack.back().chain->rules.size();
      } else {
        way.stack.pop_back();
      }
    }
    way.stack.push_back({chain, 0});
    return true;
  }

  static bool change_source(Way& way) {
    way.outcome.masqueraded = true;
    way.now.states |= kStateSnat;
    way.stack.clear();
    return true;
  }

  static bool change_destination(Way& way, const DnatTarget& target) {
    Packet& packet = way.now.packet;
    const std::uint16_t port = target.port != 0 ? target.port : packet.destination_port;
    // The kernel sets the connection's DNAT bit only when something changes.
    if (packet.destination != target.address || packet.destination_port != port) {
      packet.destination = target.address;
      packet.destination_port = port;
      way.outcome.destination_changed = true;
      way.now.states |= kStateDnat;
    }
    way.stack.clear();
    return true;
  }

  bool finish(Way& way, End end) {
    way.outcome.end = end;
    way.outcome.packet = way.now.packet;
    result_.outcomes.push_back(std::move(way.outcome));
    return false;
  }

  const Ruleset& ruleset_;
  const Surroundings& surroundings_;
  std::vector<Way> open_;
  std::unordered_set<std::string> seen_;  ///< states of ways of unknown odds
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
  return Walker(ruleset, surroundings).walk(packet);
}

}  // namespace kubenatd::rules::former_walk
