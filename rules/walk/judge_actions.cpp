#include <algorithm>
#include <utility>

#include "rules/walk/headers.h"
#include "rules/walk/rule_judge.h"
#include "rules/walk/translate.h"

/// What is done to a packet and its connection.
namespace kubenatd::rules::walk {

namespace {

[[nodiscard]] Mark mark_of(const Value& value) {
  Mark mark;
  mark.unknown = ~value.known.as_host();
  if (value.bits.size < 4) mark.unknown &= (1U << (8U * value.bits.size)) - 1;  // the rest of a register is zero
  mark.bits = value.bits.as_host() & ~mark.unknown;
  return mark;
}

}  // namespace

void RuleJudge::go_on(Run& other) {
  ++other.at;
  open_.push_back(std::move(other));
}

Step RuleJudge::apply(Run& run, const SetMeta& set) {
  const auto mark = [&](Run& of) -> Mark* {
    if (set.key == NFT_META_MARK) return &of.branch.after.mark;
    return set.key == NFT_META_PRIORITY ? &of.branch.after.priority : nullptr;
  };
  const std::optional<Value> known = value(run, set.value, [&](Run& other) {
    if (Mark* changed = mark(other)) *changed = {0, ~0U};
    if (set.key == NFT_META_PRIORITY) other.branch.after.priority_recalled = true;
    go_on(other);
  });
  if (!known) return Step::kFails;
  if (Mark* changed = mark(run)) *changed = mark_of(*known);
  if (set.key == NFT_META_PRIORITY)
    run.branch.after.priority_recalled =
        !known->is_known() && (evaluator_.notes.refreshed || run.branch.after.priority_recalled);
  return Step::kNext;
}

Step RuleJudge::apply(Run& run, const SetCt& set) {
  const bool tracked = run.branch.after.tracking == PacketState::Tracking::kTracked;
  const bool counts = tracked && set.key == NFT_CT_MARK;
  const std::optional<Value> known = value(run, set.value, [&](Run& other) {
    if (counts) other.branch.after.connmark = {0, ~0U};
    go_on(other);
  });
  if (!known) return Step::kFails;
  if (counts) run.branch.after.connmark = mark_of(*known);
  return Step::kNext;
}

Step RuleJudge::apply(Run& run, const SetPayload& set) {
  const std::optional<Value> known = value(run, set.value, [&](Run& other) {
    other.branch.anything = true;
    results_.push_back(std::move(other.branch));
  });
  if (!known) return Step::kFails;
  if (store(set.where, *known, run.branch.after)) return Step::kNext;
  run.branch.anything = true;
  return Step::kDone;
}

Step RuleJudge::apply(Run& run, const NoTrack& /*no_track*/) {
  PacketState& state = run.branch.after;
  if (state.tracking == PacketState::Tracking::kNotYet) state.tracking = PacketState::Tracking::kUntracked;
  return Step::kNext;
}

Step RuleJudge::apply(Run& run, const ToVerdict& verdict) {
  if (verdict.verdict == Verdict::kContinue) return Step::kNext;
  run.branch.verdict = verdict;
  return Step::kDone;
}

Step RuleJudge::apply(Run& run, const Refuse& refuse) {
  run.branch.refuse = &refuse;
  return Step::kDone;
}

Step RuleJudge::apply(Run& run, const OtherTarget& /*target*/) {
  run.branch.anything = true;
  return Step::kDone;
}

Step RuleJudge::apply(Run& /*run*/, const NoEffect& /*nothing*/) {
  return Step::kNext;
}

Step RuleJudge::apply(Run& run, const VerdictMap& map) {
  part_ = Part::kSet;
  const Value key = evaluator_.evaluate(map.key, run.branch.after, run.drawn);
  if (key.absent) return Step::kFails;
  const LookUp found = evaluator_.look_up(map.map, key, run.branch.after);
  if (evaluator_.notes.from_memory) {
    Run other = remembered(run);
    other.branch.anything = true;
    results_.push_back(std::move(other.branch));
    return Step::kFails;
  }
  switch (found.answer) {
    case Found::Answer::kThere: return take(run, found.element);
    case Found::Answer::kAbsent: return Step::kFails;
    case Found::Answer::kUnknown: break;
  }
  // Each verdict that may come out of it is a way, and so is none.
  if (evaluator_.notes.maybe_absent || found.maybe_absent) {
    doubt(run);
    settle(run);
  }
  run.branch.fit = Fit::kUnknown;
  run.branch.part = Part::kSet;
  run.branch.assumed = true;
  run.branch.odds_known = false;
  if (found.candidates.empty()) {
    run.branch.anything = true;
    return Step::kDone;
  }
  run.branch.odds /= static_cast<double>(found.candidates.size());
  for (std::size_t i = 1; i < found.candidates.size(); ++i) {
    Run other = run;
    ++other.at;
    if (take(other, *found.candidates[i]) == Step::kDone) {
      results_.push_back(std::move(other.branch));
    } else {
      open_.push_back(std::move(other));
    }
  }
  return take(run, *found.candidates.front());
}

Step RuleJudge::take(Run& run, const SetElement& element) {
  if (!element.verdict) {
    run.branch.anything = true;
    return Step::kDone;
  }
  if (element.verdict->verdict == Verdict::kContinue) return Step::kNext;
  run.branch.verdict = *element.verdict;
  return Step::kDone;
}

std::optional<Bytes> RuleJudge::priority_in(const ExpressionPtr& expression, const SetElement& element) const {
  if (const Slice* slice = is<Slice>(expression)) return priority_in(slice->of, element);
  const MapLookup* lookup = is<MapLookup>(expression);
  const WalkSet* asked = lookup != nullptr ? table_.set(lookup->map) : nullptr;
  const Concat* key = asked != nullptr ? is<Concat>(lookup->key) : nullptr;
  if (key == nullptr || key->parts.size() != asked->parts.size()) return std::nullopt;
  std::size_t offset = 0;
  for (std::size_t i = 0; i < key->parts.size(); ++i) {
    constexpr std::size_t kRegister = 4;
    const Meta* part = is<Meta>(key->parts[i]);
    if (part != nullptr && part->key == NFT_META_PRIORITY) {
      const Bytes first = element.first.slice(offset, kRegister), last = element.last.slice(offset, kRegister);
      return first == last && first.size == kRegister ? std::optional(first) : std::nullopt;
    }
    offset += (asked->parts[i] + kRegister - 1) / kRegister * kRegister;
  }
  return std::nullopt;
}

Step RuleJudge::apply(Run& run, const Nat& nat) {
  bool fails = false;
  const auto load = [&](const ExpressionPtr& expression) -> std::optional<Value> {
    if (expression == nullptr || fails) return std::nullopt;
    const Value value = evaluator_.evaluate(expression, run.branch.after, run.drawn);
    fails = value.absent;
    return value;
  };
  const auto load_all = [&] {
    NatValues values;
    values.address = load(nat.address);
    values.last_address = load(nat.last_address);
    values.port = load(nat.port);
    values.last_port = load(nat.last_port);
    return values;
  };
  const NatValues values = load_all();
  part_ = Part::kSet;
  if (evaluator_.notes.from_memory) {
    Run other = remembered(run);
    other.branch.nat_done = true;
    other.branch.destination_from_memory = nat.kind == Nat::Kind::kDestination || nat.kind == Nat::Kind::kRedirect;
    if (!other.branch.destination_from_memory) other.branch.anything = true;
    results_.push_back(std::move(other.branch));
    return Step::kFails;
  }
  if (fails) return Step::kFails;
  const std::vector<const SetElement*> candidates = std::exchange(evaluator_.notes.candidates, {});
  // The number of a remembered client's endpoint is asked for: it is that of one of these elements. Were it that of an
  // endpoint that has gone, the client would go on as one who is not remembered, and that way is followed anyhow.
  const bool recalled = run.branch.after.priority_recalled && !candidates.empty() &&
                        priority_in(nat.address, *candidates.front()).has_value();
  if (evaluator_.notes.maybe_absent && !recalled) {
    doubt(run);
    settle(run);
  }
  const auto finish = [&](Run& one, const NatValues& where) {
    if (!translate(nat, where, one.branch.after, surroundings_)) {
      one.branch.anything = true;
      return;
    }
    one.branch.nat_done = true;
    one.branch.verdict.verdict = Verdict::kAccept;
  };
  // One of these elements it is: each is a way.
  if (candidates.size() > 1 || recalled) {
    if (!recalled) {
      run.branch.fit = Fit::kUnknown;
      run.branch.part = Part::kSet;
      run.branch.assumed = true;
      run.branch.odds_known = false;
      run.branch.odds /= static_cast<double>(candidates.size());
    }
    const WalkSet* const asked = evaluator_.notes.asked;
    for (const SetElement* candidate : candidates) {
      Run other = run;
      evaluator_.assumed = {asked, candidate};
      finish(other, load_all());
      if (const auto number = recalled ? priority_in(nat.address, *candidate) : std::nullopt) {
        other.branch.after.priority = {.bits = number->as_host(), .unknown = 0};
        other.branch.after.priority_recalled = false;
      }
      evaluator_.assumed = {};
      if (!fails) results_.push_back(std::move(other.branch));
    }
    if (fails) return Step::kFails;
    run.branch = std::move(results_.back());
    results_.pop_back();
    return Step::kDone;
  }
  finish(run, values);
  return Step::kDone;
}

Step RuleJudge::apply(Run& run, const Tproxy& tproxy) {
  PacketState& state = run.branch.after;
  if (state.packet.protocol == Protocol::kSctp) return Step::kFails;
  std::uint16_t port = state.packet.destination_port;
  if (tproxy.port != nullptr) {
    const Value value = evaluator_.evaluate(tproxy.port, state, run.drawn);
    if (value.absent) return Step::kFails;
    if (!value.is_known()) {
      run.branch.anything = true;
      return Step::kDone;
    }
    port = static_cast<std::uint16_t>(value.bits.as_network());
  }
  state.tproxy_port = port;
  if (!tproxy.mark) return Step::kNext;  // nft's goes on
  const std::uint32_t mask = tproxy.mark_mask.value_or(~0U);
  state.mark.bits = (state.mark.bits & ~mask) ^ *tproxy.mark;
  state.mark.unknown &= ~mask;
  state.mark.bits &= ~state.mark.unknown;
  run.branch.verdict.verdict = Verdict::kAccept;
  return Step::kDone;
}

Step RuleJudge::apply(Run& run, const UpdateSet& update) {
  if (!update.condition.empty()) return Step::kDoubt;
  const WalkSet* set = table_.set(update.set);
  if (set == nullptr || run.doubted || update.key == nullptr) return Step::kNext;
  const Value key = evaluator_.evaluate(update.key, run.branch.after, run.drawn);
  if (key.absent) return Step::kFails;
  auto& updated = run.branch.after.updated;
  const std::pair<const WalkSet*, Bytes> made{set, key.bits};
  if (key.is_known() && std::ranges::find(updated, made) == updated.end()) updated.push_back(made);
  return Step::kNext;
}

}  // namespace kubenatd::rules::walk
