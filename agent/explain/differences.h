#pragma once

#include <vector>

#include "agent/explain/answer.h"
#include "rules/walk/walker.h"

namespace kubenatd::agent::explain {

/// What differs between the rules and the desired ones in the chains that the packet meets in either of them, and in
/// the elements that it asks for: in the tables of iptables, and in kubenatd's own.
[[nodiscard]] std::vector<PathDifference> differences_on_path(const rules::walk::Ruleset& ruleset,
                                                              const rules::walk::Walk& walk,
                                                              const rules::walk::Ruleset& desired,
                                                              const rules::walk::Walk& desired_walk);

}  // namespace kubenatd::agent::explain
