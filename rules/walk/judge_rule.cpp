#include "rules/walk/judge_rule.h"

#include <utility>

#include "rules/walk/conditions.h"
#include "rules/walk/rule_judge.h"

namespace kubenatd::rules::walk {

namespace {

constexpr std::uint64_t kMostDrawn = 65536;  ///< values that are tried out for one statement
constexpr std::size_t kMostRuns = 70000;     ///< ways inside one rule

}  // namespace

bool has_effect(const Statement& statement) {
  if (const auto* verdict = std::get_if<ToVerdict>(&statement)) return verdict->verdict != Verdict::kContinue;
  return std::holds_alternative<SetMeta>(statement) || std::holds_alternative<SetCt>(statement) ||
         std::holds_alternative<SetPayload>(statement) || std::holds_alternative<NoTrack>(statement) ||
         std::holds_alternative<VerdictMap>(statement) || std::holds_alternative<Refuse>(statement) ||
         std::holds_alternative<Nat>(statement) || std::holds_alternative<Tproxy>(statement) ||
         std::holds_alternative<OtherTarget>(statement);
}

std::vector<Branch> RuleJudge::judge(const PacketState& state) {
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

std::optional<Part> RuleJudge::certain_mismatch(const PacketState& state) {
  for (std::size_t at = 0; at < rule_.statements.size(); ++at) {
    const Statement& statement = rule_.statements[at];
    if (has_effect(statement)) break;
    if (!draws_of(at, {}).empty()) continue;
    Part part = Part::kOther;
    const Holds holds = std::visit([&](const auto& one) { return of_condition(one, state, part); }, statement);
    if (holds == Holds::kNo && !evaluator_.notes.from_memory) return part;
    evaluator_.notes.from_memory = false;
  }
  evaluator_.notes = {};
  return std::nullopt;
}

Holds RuleJudge::of_condition(const Condition& one, const PacketState& state, Part& part) {
  part = one.part;
  return judge_condition(one, state, {}, evaluator_);
}

Holds RuleJudge::of_condition(const AnyOf& one, const PacketState& state, Part& part) {
  part = one.part;
  return judge_condition(one, state, {}, evaluator_);
}

Holds RuleJudge::of_condition(const InSet& one, const PacketState& state, Part& part) {
  part = one.part;
  const Value key = evaluator_.evaluate(one.key, state, {});
  if (key.absent) return Holds::kNo;
  const LookUp found = evaluator_.look_up(one.set, key, state);
  if (found.answer == Found::Answer::kUnknown) return Holds::kMaybe;
  return (found.answer == Found::Answer::kThere) != one.negate ? Holds::kYes : Holds::kNo;
}

Holds RuleJudge::of_condition(const InTime& one, const PacketState& /*state*/, Part& /*part*/) {
  return judge_condition(one, surroundings_);
}

Holds RuleJudge::of_condition(const Never& one, const PacketState& /*state*/, Part& part) {
  part = one.part;
  return Holds::kNo;
}

void RuleJudge::follow(Run run) {
  while (run.at < rule_.statements.size()) {
    const Statement& statement = rule_.statements[run.at];
    const std::vector<const Draw*> draws = draws_of(run.at, run.drawn);
    if (!draws.empty() && !only_carries(run.at) && !certain_odds(run.at, draws)) {
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

void RuleJudge::doubt(Run& run) const {
  if (run.doubted) return;
  run.doubted = true;
  run.doubt = part_;
}

void RuleJudge::end(Run run) {
  if (run.doubted && run.branch.fit != Fit::kUnknown) {
    run.branch.fit = Fit::kUnknown;
    run.branch.part = run.doubt;
    run.branch.assumed = false;
  }
  results_.push_back(std::move(run.branch));
}

void RuleJudge::fail(Run run) {
  if (run.branch.fit != Fit::kUnknown) {
    run.branch.fit = Fit::kNo;
    run.branch.part = part_;
  }
  results_.push_back(std::move(run.branch));
}

void RuleJudge::settle(Run& run) {
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

std::vector<Branch> judge(const Ruleset& ruleset, const WalkTable& table, const WalkRule& rule,
                          const PacketState& state, const Surroundings& surroundings, SetIndexes& indexes) {
  return RuleJudge(ruleset, table, rule, surroundings, indexes).judge(state);
}

}  // namespace kubenatd::rules::walk
