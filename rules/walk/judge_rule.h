#pragma once

#include <optional>
#include <vector>

#include "rules/walk/judge.h"
#include "rules/walk/sets.h"

namespace kubenatd::rules::walk {

/// judge() with indexes that outlive the call.
[[nodiscard]] std::vector<Branch> judge(const Ruleset& ruleset, const WalkTable& table, const WalkRule& rule,
                                        const PacketState& state, const Surroundings& surroundings,
                                        SetIndexes& indexes);

/// The part because of which the rule certainly does not fit, found by its plain conditions alone; none: not decided.
/// Most rules end here, without any allocation.
[[nodiscard]] std::optional<Part> plain_mismatch(const WalkRule& rule, const PacketState& state,
                                                 const Surroundings& surroundings);

/// Joins branches that lead to the same, and those that differ only in marks when one of them cannot be judged.
void join(std::vector<Branch>& branches);

}  // namespace kubenatd::rules::walk
