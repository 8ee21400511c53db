#pragma once

#include "rules/walk/evaluate.h"

/// Conditions of rules with three answers. Pure.
namespace kubenatd::rules::walk {

/// A value that the kernel does not have ends the rule, negated or not (NFT_BREAK).
[[nodiscard]] Holds judge_condition(const Condition& condition, const PacketState& state, const Drawn& drawn,
                                    Evaluator& evaluator);
/// Of x_tables: what is not there does not hold, and then the opposite does.
[[nodiscard]] Holds judge_condition(const AnyOf& any, const PacketState& state, const Drawn& drawn,
                                    Evaluator& evaluator);
[[nodiscard]] Holds judge_condition(const InTime& time, const Surroundings& surroundings);
[[nodiscard]] Holds judge_condition(const InIpset& match, const PacketState& state, const Surroundings& surroundings);

/// Of a comparison with a number that is drawn: how often it holds. None: not of that form.
[[nodiscard]] std::optional<double> odds_of(const Condition& condition, const Draw& draw);

[[nodiscard]] inline Holds opposite(Holds holds) {
  return holds == Holds::kYes ? Holds::kNo : holds == Holds::kNo ? Holds::kYes : Holds::kMaybe;
}

}  // namespace kubenatd::rules::walk
