#pragma once

#include <cstdint>
#include <vector>

#include "rules/walk/walker.h"

namespace kubenatd::agent::explain {

/// Outcomes of a walk that people would not tell apart, as one.
struct Way {
  const rules::walk::Outcome* outcome = nullptr;  ///< the likeliest of them
  double odds = 1;                                ///< of all of them
  bool odds_known = true;
  bool is_sure = true;  ///< a part of the odds at least is known: chance alone may lead there
};

struct Ways {
  std::vector<Way> ways;
  bool is_doubtful = false;           ///< rules that cannot be judged lead to different ends
  std::vector<std::uint32_t> doubts;  ///< hops that could not be judged, each rule once; none when they decide nothing
};

/// Joins the outcomes that end alike. Where all ways of a doubt come to the same ends, their odds are known.
/// Points into `walk`. Cost: linear, but for sorting.
[[nodiscard]] Ways join_ways(const rules::walk::Walk& walk);

}  // namespace kubenatd::agent::explain
