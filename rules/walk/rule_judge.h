#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "rules/walk/evaluate.h"
#include "rules/walk/judge_rule.h"

namespace kubenatd::rules::walk {

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
[[nodiscard]] bool has_effect(const Statement& statement);

/// Judges one rule for one packet, statement by statement, and splits where the kernel's way is not certain.
///
/// Threading: one thread, one call. Failure: none. Cost: linear in the rule for each way through it.
class RuleJudge {
 public:
  RuleJudge(const Ruleset& ruleset, const WalkTable& table, const WalkRule& rule, const Surroundings& surroundings,
            SetIndexes& indexes)
      : table_(table), rule_(rule), surroundings_(surroundings), evaluator_(ruleset, table, surroundings, indexes) {}

  [[nodiscard]] std::vector<Branch> judge(const PacketState& state);

 private:
  /// A condition that fails for sure decides, although one before it cannot be judged: but not behind an effect.
  [[nodiscard]] std::optional<Part> certain_mismatch(const PacketState& state);
  template <class Other>
  [[nodiscard]] Holds of_condition(const Other& /*statement*/, const PacketState& /*state*/, Part& /*part*/) {
    return Holds::kMaybe;
  }
  [[nodiscard]] Holds of_condition(const Condition& one, const PacketState& state, Part& part);
  [[nodiscard]] Holds of_condition(const AnyOf& one, const PacketState& state, Part& part);
  [[nodiscard]] Holds of_condition(const InSet& one, const PacketState& state, Part& part);
  [[nodiscard]] Holds of_condition(const InTime& one, const PacketState& /*state*/, Part& /*part*/);
  [[nodiscard]] Holds of_condition(const Never& one, const PacketState& /*state*/, Part& part);

  void follow(Run run);
  void doubt(Run& run) const;
  void end(Run run);
  void fail(Run run);
  /// Before something is done: on one way the rule does not fit, on the other one it does.
  void settle(Run& run);

  // Drawn numbers.

  /// Of the statement at this place.
  [[nodiscard]] std::vector<const Draw*> draws_of(std::size_t at, const Drawn& drawn) const;
  /// The number in the packet's priority at this place, if the rule has drawn it.
  [[nodiscard]] const Draw* carried(std::size_t at) const;
  /// It only puts a number into the priority, where a later statement takes it from: it is drawn there.
  [[nodiscard]] bool only_carries(std::size_t at) const;
  [[nodiscard]] static std::uint64_t count(const std::vector<const Draw*>& draws);
  [[nodiscard]] bool used_later(const Draw* draw, std::size_t at) const;
  /// The odds of a comparison with one drawn number, without trying out all of them.
  [[nodiscard]] std::optional<double> certain_odds(std::size_t at, const std::vector<const Draw*>& draws) const;
  /// Tries out all values; those that come to the same are one way.
  void draw(Run& run, const Statement& statement, const std::vector<const Draw*>& draws, std::uint64_t values);

  // Statements.

  [[nodiscard]] Step step(Run& run, const Statement& statement);
  [[nodiscard]] Step of(Run& run, Holds holds, Part part);
  [[nodiscard]] Run remembered(const Run& run) const;
  Step apply(Run& run, const Condition& condition);
  Step apply(Run& run, const AnyOf& any);
  Step apply(Run& run, const InSet& match);
  Step apply(Run& run, const InIpset& match);
  Step apply(Run& run, const InTime& time);
  Step apply(Run& run, const Chance& chance);
  Step apply(Run& run, const Remembered& match);
  Step apply(Run& /*run*/, const Unjudged& unjudged);
  Step apply(Run& /*run*/, const Never& never);
  Step by_chance(Run& run, double odds);

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
  void go_on(Run& other);
  Step apply(Run& run, const SetMeta& set);
  Step apply(Run& run, const SetCt& set);
  Step apply(Run& run, const SetPayload& set);
  Step apply(Run& run, const NoTrack& /*no_track*/);
  Step apply(Run& run, const ToVerdict& verdict);
  Step apply(Run& run, const Refuse& refuse);
  Step apply(Run& run, const OtherTarget& /*target*/);
  Step apply(Run& /*run*/, const NoEffect& /*nothing*/);
  Step apply(Run& run, const VerdictMap& map);
  [[nodiscard]] static Step take(Run& run, const SetElement& element);
  /// The packet's priority that leads to this element, when it is a part of the key of the map that the expression
  /// asks.
  [[nodiscard]] std::optional<Bytes> priority_in(const ExpressionPtr& expression, const SetElement& element) const;
  Step apply(Run& run, const Nat& nat);
  Step apply(Run& run, const Tproxy& tproxy);
  Step apply(Run& run, const UpdateSet& update);

  const WalkTable& table_;
  const WalkRule& rule_;
  const Surroundings& surroundings_;
  Evaluator evaluator_;
  Part part_ = Part::kNone;  ///< of the last statement
  std::vector<Run> open_;
  std::vector<Branch> results_;
};

}  // namespace kubenatd::rules::walk
