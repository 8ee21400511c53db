#pragma once

#include "agent/explain/context.h"
#include "rules/former_walk/walker.h"

namespace kubenatd::agent::explain {

/// True for chains whose rules are made for Services and hostPorts, by kubenatd, kube-proxy or portmap.
[[nodiscard]] bool is_service_path(std::string_view chain);

/// True for a rule of somebody else: neither in such a chain nor a jump to one.
[[nodiscard]] bool is_foreign(const rules::former_walk::Hop& hop);

/// Whose address a packet ends at: "pod demo/web-1 on this node", "this node"; may be empty.
[[nodiscard]] std::string describe_who(const ExplainContext& context, const rules::Address& address,
                                       rules::former_walk::End end);

/// The walk as steps and ends of the answer, and why it is masqueraded.
void tell_path(const ExplainContext& context, const rules::former_walk::Ruleset& ruleset,
               const rules::former_walk::Walk& walk, Answer& answer);

/// What differs between the rules and the desired ones in the chains that the packet meets in either of them.
[[nodiscard]] std::vector<PathDifference> differences_on_path(const rules::former_walk::Ruleset& ruleset,
                                                              const rules::former_walk::Walk& walk,
                                                              const rules::former_walk::Ruleset& desired,
                                                              const rules::former_walk::Walk& desired_walk);

}  // namespace kubenatd::agent::explain
