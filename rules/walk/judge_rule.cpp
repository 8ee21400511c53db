#include "rules/walk/judge_rule.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "rules/walk/conditions.h"
#include "rules/walk/fields.h"
#include "rules/walk/headers.h"
#include "rules/walk/state_key.h"
#include "rules/walk/translate.h"

namespace kubenatd::rules::walk {
namespace {

constexpr std::uint64_t kMostDrawn = 65536;  ///< values that are tried out for one statement
constexpr std::size_t kMostRuns = 70000;     ///< ways inside one rule

/// One way through the rule, as far as it has come.
struct Run {
  Branch branch;
  std::size_t at = 0;  ///< the next statement
  Drawn drawn;
  bool doubted = false;  ///< a condition could not be judged, and nothing was done since
  Part doubt = Part::kNone;
};

enum class Step : std::uint8_t { kNext, kFails, kDoubt, kDone };

/// Does something that later statements or rules can notice.
[[nodiscard]] bool has_effect(const Statement& statement) {
  if (const auto* verdict = std::get_if<ToVerdict>(&statement)) return verdict->verdict != Verdict::kContinue;
  return std::holds_alternative<SetMeta>(statement) || std::holds_alternative<SetCt>(statement) ||
         std::holds_alternative<SetPayload>(statement) || std::holds_alternative<NoTrack>(statement) ||
         std::holds_alternative<VerdictMap>(statement) || std::holds_alternative<Refuse>(statement) ||
         std::holds_alternative<Nat>(statement) || std::holds_alternative<Tproxy>(statement) ||
         std::holds_alternative<OtherTarget>(statement);
}

[[nodiscard]] Mark mark_of(const Value& value) {
  Mark mark;
  mark.unknown = ~value.known.as_host();
  if (value.bits.size < 4) mark.unknown &= (1U << (8U * value.bits.size)) - 1;  // the rest of a register is zero
  mark.bits = value.bits.as_host() & ~mark.unknown;
  return mark;
}

class RuleJudge {
 public:
  RuleJudge(const Ruleset& ruleset, const WalkTable& table, const WalkRule& rule, const Surroundings& surroundings,
            SetIndexes& indexes)
      : table_(table), rule_(rule), surroundings_(surroundings), evaluator_(ruleset, table, surroundings, indexes) {}

  [[nodiscard]] std::vector<Branch> judge(const PacketState& state) {
    if (const std::optional<Part> part = certain_mismatch(state)) {
      Branch branch;
      branch.fit = Fit::kNo;
      branch.part = *part;
      branch.after = state;
      branch.looked_up = std::move(evaluator_.notes.looked_up);
      results_.push_back(std::move(branch));
      return std::move(results_);
    }
    Run first;
    first.branch.after = state;
    open_.push_back(std::move(first));
    while (!open_.empty()) {
      Run run = std::move(open_.back());
      open_.pop_back();
      follow(std::move(run));
    }
    join(results_);
    return std::move(results_);
  }

 private:
  /// A condition that fails for sure decides, although one before it cannot be judged: but not behind an effect.
  [[nodiscard]] std::optional<Part> certain_mismatch(const PacketState& state) {
    for (const Statement& statement : rule_.statements) {
      if (has_effect(statement)) break;
      if (!draws_of(statement, {}).empty()) continue;
      Part part = Part::kOther;
      const Holds holds = std::visit([&](const auto& one) { return of_condition(one, state, part); }, statement);
      if (holds == Holds::kNo && !evaluator_.notes.from_memory) return part;
      evaluator_.notes.from_memory = false;
    }
    evaluator_.notes = {};
    return std::nullopt;
  }
  template <class Other>
  [[nodiscard]] Holds of_condition(const Other& /*statement*/, const PacketState& /*state*/, Part& /*part*/) {
    return Holds::kMaybe;
  }
  [[nodiscard]] Holds of_condition(const Condition& one, const PacketState& state, Part& part) {
    part = one.part;
    return judge_condition(one, state, {}, evaluator_);
  }
  [[nodiscard]] Holds of_condition(const AnyOf& one, const PacketState& state, Part& part) {
    part = one.part;
    return judge_condition(one, state, {}, evaluator_);
  }
  [[nodiscard]] Holds of_condition(const InSet& one, const PacketState& state, Part& part) {
    part = one.part;
    const Value key = evaluator_.evaluate(one.key, state, {});
    if (key.absent) return Holds::kNo;
    const LookUp found = evaluator_.look_up(one.set, key, state);
    if (found.answer == Found::Answer::kUnknown) return Holds::kMaybe;
    return (found.answer == Found::Answer::kThere) != one.negate ? Holds::kYes : Holds::kNo;
  }
  [[nodiscard]] Holds of_condition(const InTime& one, const PacketState& /*state*/, Part& /*part*/) {
    return judge_condition(one, surroundings_);
  }
  [[nodiscard]] Holds of_condition(const Never& one, const PacketState& /*state*/, Part& part) {
    part = one.part;
    return Holds::kNo;
  }

  void follow(Run run) {
    while (run.at < rule_.statements.size()) {
      const Statement& statement = rule_.statements[run.at];
      const std::vector<const Draw*> draws = draws_of(statement, run.drawn);
      if (!draws.empty() && !certain_odds(statement, draws)) {
        const std::uint64_t values = count(draws);
        if (values <= kMostDrawn && open_.size() + results_.size() + values <= kMostRuns)
          return draw(run, statement, draws, values);
      }
      switch (step(run, statement)) {
        case Step::kNext: break;
        case Step::kFails: return fail(std::move(run));
        case Step::kDoubt: doubt(run); break;
        case Step::kDone: results_.push_back(std::move(run.branch)); return;
      }
      ++run.at;
    }
    end(std::move(run));
  }

  void doubt(Run& run) const {
    if (run.doubted) return;
    run.doubted = true;
    run.doubt = part_;
  }

  void end(Run run) {
    if (run.doubted && run.branch.fit != Fit::kUnknown) {
      run.branch.fit = Fit::kUnknown;
      run.branch.part = run.doubt;
      run.branch.assumed = false;
    }
    results_.push_back(std::move(run.branch));
  }

  void fail(Run run) {
    if (run.branch.fit != Fit::kUnknown) {
      run.branch.fit = Fit::kNo;
      run.branch.part = part_;
    }
    results_.push_back(std::move(run.branch));
  }

  /// Before something is done: on one way the rule does not fit, on the other one it does.
  void settle(Run& run) {
    if (!run.doubted) return;
    run.doubted = false;
    run.branch.odds /= 2;  // nobody knows them; all together stay 1
    run.branch.odds_known = false;
    Branch other = run.branch;
    if (other.fit != Fit::kUnknown) {
      other.fit = Fit::kUnknown;
      other.part = run.doubt;
      other.assumed = false;
    }
    results_.push_back(std::move(other));
    run.branch.part = run.doubt;
    run.branch.fit = Fit::kUnknown;
    run.branch.assumed = true;
  }

  // Drawn numbers.

  [[nodiscard]] static std::vector<const Draw*> draws_of(const Statement& statement, const Drawn& drawn) {
    std::vector<const Draw*> draws;
    const auto add = [&](const ExpressionPtr& expression) {
      if (expression != nullptr) Evaluator::collect_draws(expression, drawn, draws);
    };
    std::visit(
        [&](const auto& one) {
          using One = std::decay_t<decltype(one)>;
          if constexpr (std::is_same_v<One, Condition>) add(one.left);
          if constexpr (std::is_same_v<One, AnyOf>)
            for (const Condition& condition : one.conditions) add(condition.left);
          if constexpr (std::is_same_v<One, InSet> || std::is_same_v<One, VerdictMap>) add(one.key);
          if constexpr (std::is_same_v<One, SetMeta> || std::is_same_v<One, SetCt> || std::is_same_v<One, SetPayload>)
            add(one.value);
          if constexpr (std::is_same_v<One, Nat>)
            add(one.address), add(one.last_address), add(one.port), add(one.last_port);
          if constexpr (std::is_same_v<One, Tproxy>) add(one.address), add(one.port);
        },
        statement);
    return draws;
  }

  [[nodiscard]] static std::uint64_t count(const std::vector<const Draw*>& draws) {
    std::uint64_t values = 1;
    for (const Draw* draw : draws) {
      values *= std::max<std::uint32_t>(draw->modulus, 1);
      if (values > kMostDrawn) break;
    }
    return values;
  }

  [[nodiscard]] bool used_later(const Draw* draw, std::size_t at) const {
    for (std::size_t later = at + 1; later < rule_.statements.size(); ++later)
      if (std::ranges::count(draws_of(rule_.statements[later], {}), draw) != 0) return true;
    return false;
  }

  /// The odds of a comparison with one drawn number, without trying out all of them.
  [[nodiscard]] std::optional<double> certain_odds(const Statement& statement,
                                                   const std::vector<const Draw*>& draws) const {
    const auto* condition = std::get_if<Condition>(&statement);
    if (condition == nullptr || draws.size() != 1) return std::nullopt;
    const auto at = static_cast<std::size_t>(&statement - rule_.statements.data());
    if (used_later(draws.front(), at)) return std::nullopt;
    return odds_of(*condition, *draws.front());
  }

  /// Tries out all values; those that come to the same are one way.
  void draw(Run& run, const Statement& statement, const std::vector<const Draw*>& draws, std::uint64_t values) {
    const std::size_t at = run.at;
    const bool needed = std::ranges::any_of(draws, [&](const Draw* draw) { return used_later(draw, at); });
    std::unordered_map<std::string, Run> ways;
    std::vector<std::string> order;
    const std::vector<Branch> before = std::exchange(results_, {});
    const auto keep = [&](Run&& way, char kind) {
      std::string key = key_of(way.branch.after);
      key += kind;
      key += static_cast<char>((way.branch.remembered ? 1 : 0) | (way.branch.nat_done ? 2 : 0) |
                               (way.branch.anything ? 4 : 0) | (way.branch.assumed ? 8 : 0) | (way.doubted ? 16 : 0) |
                               (way.branch.destination_from_memory ? 32 : 0));
      key += static_cast<char>(way.branch.verdict.verdict);
      key += way.branch.verdict.chain;
      if (needed)
        for (const auto& [draw, number] : way.drawn) key += '/' + std::to_string(number);
      const auto [place, is_new] = ways.try_emplace(key, std::move(way));
      if (is_new) {
        order.push_back(std::move(key));
      } else if (!place->second.branch.remembered) {
        place->second.branch.odds += way.branch.odds;
      }
    };
    for (std::uint64_t value = 0; value < values; ++value) {
      Run way = run;
      way.branch.odds /= static_cast<double>(values);
      std::uint64_t rest = value;
      for (const Draw* draw : draws) {
        const std::uint32_t modulus = std::max<std::uint32_t>(draw->modulus, 1);
        way.drawn.emplace_back(draw, draw->offset + static_cast<std::uint32_t>(rest % modulus));
        rest /= modulus;
      }
      if (values > 1 && way.branch.fit == Fit::kYes) way.branch.fit = Fit::kByChance;
      const std::size_t forked = open_.size();
      switch (step(way, statement)) {
        case Step::kNext: way.at = at + 1, keep(std::move(way), 'n'); break;
        case Step::kDoubt: doubt(way), way.at = at + 1, keep(std::move(way), 'n'); break;
        case Step::kDone: keep(std::move(way), 'd'); break;
        case Step::kFails:
          if (way.branch.fit != Fit::kUnknown) {
            way.branch.fit = Fit::kNo;
            way.branch.part = part_;
          }
          keep(std::move(way), 'f');
          break;
      }
      while (open_.size() > forked) {
        Run other = std::move(open_.back());
        open_.pop_back();
        keep(std::move(other), 'n');
      }
      for (Branch& branch : std::exchange(results_, {})) {
        Run other;
        other.branch = std::move(branch);
        keep(std::move(other), 'd');
      }
    }
    results_ = before;
    for (const std::string& key : order) {
      Run& way = ways.at(key);
      if (key[key_of(way.branch.after).size()] == 'n') {
        open_.push_back(std::move(way));
      } else {
        results_.push_back(std::move(way.branch));
      }
    }
  }

  // Statements.

  [[nodiscard]] Step step(Run& run, const Statement& statement) {
    if (has_effect(statement)) settle(run);
    evaluator_.notes = {};
    part_ = Part::kOther;
    const Step taken = std::visit([&](const auto& one) { return apply(run, one); }, statement);
    for (LookedUp& one : evaluator_.notes.looked_up) run.branch.looked_up.push_back(std::move(one));
    return taken;
  }

  [[nodiscard]] Step of(Run& run, Holds holds, Part part) {
    part_ = part;
    if (evaluator_.notes.from_memory && holds != Holds::kYes) {
      // A client that came lately is in the set.
      Run other = remembered(run);
      ++other.at;
      open_.push_back(std::move(other));
      return Step::kFails;
    }
    return holds == Holds::kYes ? Step::kNext : holds == Holds::kNo ? Step::kFails : Step::kDoubt;
  }

  [[nodiscard]] Run remembered(const Run& run) const {
    Run other = run;
    other.branch.remembered = true;
    other.branch.odds = 1;
    other.branch.odds_known = true;
    if (other.branch.fit != Fit::kUnknown) other.branch.fit = Fit::kIfRemembered;
    for (const LookedUp& one : evaluator_.notes.looked_up) other.branch.looked_up.push_back(one);
    return other;
  }

  Step apply(Run& run, const Condition& condition) {
    const std::vector<const Draw*> draws = draws_of(condition, run.drawn);
    if (!draws.empty())
      if (const std::optional<double> odds = certain_odds(rule_.statements[run.at], draws))
        return by_chance(run, *odds);
    return of(run, judge_condition(condition, run.branch.after, run.drawn, evaluator_), condition.part);
  }
  Step apply(Run& run, const AnyOf& any) {
    return of(run, judge_condition(any, run.branch.after, run.drawn, evaluator_), any.part);
  }
  Step apply(Run& run, const InSet& match) {
    part_ = match.part;
    const Value key = evaluator_.evaluate(match.key, run.branch.after, run.drawn);
    if (key.absent) return Step::kFails;
    const LookUp found = evaluator_.look_up(match.set, key, run.branch.after);
    if (evaluator_.notes.from_memory) {
      const bool fits = match.negate;  // for a client that never came
      Run other = remembered(run);
      if (fits) {
        other.branch.fit = Fit::kNo;
        other.branch.part = part_;
        results_.push_back(std::move(other.branch));
        return Step::kNext;
      }
      ++other.at;
      open_.push_back(std::move(other));
      return Step::kFails;
    }
    if (found.answer == Found::Answer::kUnknown) return Step::kDoubt;
    return (found.answer == Found::Answer::kThere) != match.negate ? Step::kNext : Step::kFails;
  }
  Step apply(Run& run, const InIpset& match) {
    return of(run, judge_condition(match, run.branch.after, surroundings_), Part::kSet);
  }
  Step apply(Run& run, const InTime& time) { return of(run, judge_condition(time, surroundings_), Part::kOther); }
  Step apply(Run& run, const Chance& chance) { return by_chance(run, chance.odds); }
  Step apply(Run& run, const Remembered& match) {
    Run other = remembered(run);
    if (match.negate) {
      other.branch.fit = Fit::kNo;
      results_.push_back(std::move(other.branch));
      return Step::kNext;
    }
    ++other.at;
    open_.push_back(std::move(other));
    part_ = Part::kNone;
    return Step::kFails;
  }
  Step apply(Run& /*run*/, const Unjudged& unjudged) {
    part_ = unjudged.part;
    return Step::kDoubt;
  }
  Step apply(Run& /*run*/, const Never& never) {
    part_ = never.part;
    return Step::kFails;
  }

  Step by_chance(Run& run, double odds) {
    part_ = Part::kNone;
    if (odds >= 1) return Step::kNext;
    if (!(odds > 0)) {
      part_ = Part::kOther;
      return Step::kFails;
    }
    Branch other = run.branch;
    other.odds *= 1 - odds;
    if (other.fit != Fit::kUnknown) other.fit = Fit::kNo;
    other.part = Part::kNone;
    results_.push_back(std::move(other));
    run.branch.odds *= odds;
    if (run.branch.fit == Fit::kYes) run.branch.fit = Fit::kByChance;
    return Step::kNext;
  }

  /// A value that something is set to. None: the rule does not fit, or only for a remembered client, who has gone on
  /// with an unknown value by `then`.
  template <class Then>
  [[nodiscard]] std::optional<Value> value(Run& run, const ExpressionPtr& expression, const Then& then) {
    const Value value = evaluator_.evaluate(expression, run.branch.after, run.drawn);
    part_ = Part::kSet;
    if (evaluator_.notes.from_memory) {
      Run other = remembered(run);
      then(other);
      return std::nullopt;
    }
    if (value.absent) return std::nullopt;
    if (evaluator_.notes.maybe_absent) {
      doubt(run);
      settle(run);
    }
    return value;
  }

  void go_on(Run& other) {
    ++other.at;
    open_.push_back(std::move(other));
  }

  Step apply(Run& run, const SetMeta& set) {
    const auto mark = [&](Run& of) -> Mark* {
      if (set.key == NFT_META_MARK) return &of.branch.after.mark;
      return set.key == NFT_META_PRIORITY ? &of.branch.after.priority : nullptr;
    };
    const std::optional<Value> known = value(run, set.value, [&](Run& other) {
      if (Mark* changed = mark(other)) *changed = {0, ~0U};
      go_on(other);
    });
    if (!known) return Step::kFails;
    if (Mark* changed = mark(run)) *changed = mark_of(*known);
    return Step::kNext;
  }
  Step apply(Run& run, const SetCt& set) {
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
  Step apply(Run& run, const SetPayload& set) {
    const std::optional<Value> known = value(run, set.value, [&](Run& other) {
      other.branch.anything = true;
      results_.push_back(std::move(other.branch));
    });
    if (!known) return Step::kFails;
    if (store(set.where, *known, run.branch.after)) return Step::kNext;
    run.branch.anything = true;
    return Step::kDone;
  }
  Step apply(Run& run, const NoTrack& /*no_track*/) {
    PacketState& state = run.branch.after;
    if (state.tracking == PacketState::Tracking::kNotYet) state.tracking = PacketState::Tracking::kUntracked;
    return Step::kNext;
  }
  Step apply(Run& run, const ToVerdict& verdict) {
    if (verdict.verdict == Verdict::kContinue) return Step::kNext;
    run.branch.verdict = verdict;
    return Step::kDone;
  }
  Step apply(Run& run, const Refuse& refuse) {
    run.branch.refuse = &refuse;
    return Step::kDone;
  }
  Step apply(Run& run, const OtherTarget& /*target*/) {
    run.branch.anything = true;
    return Step::kDone;
  }
  Step apply(Run& /*run*/, const NoEffect& /*nothing*/) { return Step::kNext; }

  Step apply(Run& run, const VerdictMap& map) {
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
  [[nodiscard]] static Step take(Run& run, const SetElement& element) {
    if (!element.verdict) {
      run.branch.anything = true;
      return Step::kDone;
    }
    if (element.verdict->verdict == Verdict::kContinue) return Step::kNext;
    run.branch.verdict = *element.verdict;
    return Step::kDone;
  }

  Step apply(Run& run, const Nat& nat) {
    NatValues values;
    bool fails = false;
    const auto load = [&](const ExpressionPtr& expression) -> std::optional<Value> {
      if (expression == nullptr || fails) return std::nullopt;
      const Value value = evaluator_.evaluate(expression, run.branch.after, run.drawn);
      fails = value.absent;
      return value;
    };
    values.address = load(nat.address);
    values.last_address = load(nat.last_address);
    values.port = load(nat.port);
    values.last_port = load(nat.last_port);
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
    if (evaluator_.notes.maybe_absent) {
      doubt(run);
      settle(run);
    }
    if (!translate(nat, values, run.branch.after, surroundings_)) {
      run.branch.anything = true;
      return Step::kDone;
    }
    run.branch.nat_done = true;
    run.branch.verdict.verdict = Verdict::kAccept;
    return Step::kDone;
  }

  Step apply(Run& run, const Tproxy& tproxy) {
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

  Step apply(Run& run, const UpdateSet& update) {
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

  const WalkTable& table_;
  const WalkRule& rule_;
  const Surroundings& surroundings_;
  Evaluator evaluator_;
  Part part_ = Part::kNone;  ///< of the last statement
  std::vector<Run> open_;
  std::vector<Branch> results_;
};

}  // namespace

std::vector<Branch> judge(const Ruleset& ruleset, const WalkTable& table, const WalkRule& rule,
                          const PacketState& state, const Surroundings& surroundings, SetIndexes& indexes) {
  return RuleJudge(ruleset, table, rule, surroundings, indexes).judge(state);
}

std::optional<Part> plain_mismatch(const WalkRule& rule, const PacketState& state, const Surroundings& surroundings) {
  for (const Statement& statement : rule.statements) {
    const auto* condition = std::get_if<Condition>(&statement);
    if (condition == nullptr) {
      if (has_effect(statement)) return std::nullopt;
      continue;
    }
    const Expression* left = condition->left.get();
    if (left == nullptr) continue;
    const auto* bits = std::get_if<Bits>(&left->what);
    const Expression* leaf = bits != nullptr ? bits->of.get() : left;
    if (leaf == nullptr) continue;
    Value value;
    if (const auto* payload = std::get_if<Payload>(&leaf->what)) {
      value = load(*payload, state);
    } else if (const auto* meta = std::get_if<Meta>(&leaf->what)) {
      value = load(*meta, state, surroundings);
    } else {
      continue;
    }
    if (!value.absent && bits != nullptr) value = masked(value, *bits);
    if (value.absent) return condition->part;
    const Holds fits = holds(value, condition->ranges);
    if (fits == (condition->negate ? Holds::kYes : Holds::kNo)) return condition->part;
  }
  return std::nullopt;
}

}  // namespace kubenatd::rules::walk
