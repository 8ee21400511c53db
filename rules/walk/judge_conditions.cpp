#include <utility>

#include "rules/walk/conditions.h"
#include "rules/walk/rule_judge.h"

/// What conditions do to a way through a rule.
namespace kubenatd::rules::walk {

Step RuleJudge::step(Run& run, const Statement& statement) {
  if (has_effect(statement)) settle(run);
  evaluator_.notes = {};
  evaluator_.carried = carried(run.at);
  part_ = Part::kOther;
  const Step taken = std::visit([&](const auto& one) { return apply(run, one); }, statement);
  for (LookedUp& one : evaluator_.notes.looked_up) run.branch.looked_up.push_back(std::move(one));
  return taken;
}

Step RuleJudge::of(Run& run, Holds holds, Part part) {
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

Run RuleJudge::remembered(const Run& run) const {
  Run other = run;
  other.branch.remembered = true;
  other.branch.odds = 1;
  other.branch.odds_known = true;
  if (other.branch.fit != Fit::kUnknown) other.branch.fit = Fit::kIfRemembered;
  for (const LookedUp& one : evaluator_.notes.looked_up) other.branch.looked_up.push_back(one);
  return other;
}

Step RuleJudge::apply(Run& run, const Condition& condition) {
  const std::vector<const Draw*> draws = draws_of(run.at, run.drawn);
  if (!draws.empty())
    if (const std::optional<double> odds = certain_odds(run.at, draws)) return by_chance(run, *odds);
  return of(run, judge_condition(condition, run.branch.after, run.drawn, evaluator_), condition.part);
}

Step RuleJudge::apply(Run& run, const AnyOf& any) {
  return of(run, judge_condition(any, run.branch.after, run.drawn, evaluator_), any.part);
}

Step RuleJudge::apply(Run& run, const InSet& match) {
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

Step RuleJudge::apply(Run& run, const InIpset& match) {
  return of(run, judge_condition(match, run.branch.after, surroundings_), Part::kSet);
}

Step RuleJudge::apply(Run& run, const InTime& time) {
  return of(run, judge_condition(time, surroundings_), Part::kOther);
}

Step RuleJudge::apply(Run& run, const Chance& chance) {
  return by_chance(run, chance.odds);
}

Step RuleJudge::apply(Run& run, const Remembered& match) {
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

Step RuleJudge::apply(Run& /*run*/, const Unjudged& unjudged) {
  part_ = unjudged.part;
  return Step::kDoubt;
}

Step RuleJudge::apply(Run& /*run*/, const Never& never) {
  part_ = never.part;
  return Step::kFails;
}

Step RuleJudge::by_chance(Run& run, double odds) {
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

}  // namespace kubenatd::rules::walk
