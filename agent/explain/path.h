#pragma once

#include "agent/explain/context.h"
#include "rules/walk/walker.h"

namespace kubenatd::agent::explain {

/// True for chains whose rules are made for Services and hostPorts, by kubenatd, kube-proxy or portmap.
[[nodiscard]] bool is_service_path(std::string_view chain);

/// True for a rule of somebody else: neither in such a chain nor a jump to one.
[[nodiscard]] bool is_foreign(const rules::walk::Hop& hop);

/// Whose address a packet ends at: "pod demo/web-1 on this node", "this node"; may be empty.
[[nodiscard]] std::string describe_who(const ExplainContext& context, const rules::Address& address,
                                       rules::walk::End end);

/// The walk as steps and ends of the answer, and why it is masqueraded.
void tell_path(const ExplainContext& context, const rules::walk::Ruleset& ruleset, const rules::walk::Walk& walk,
               Answer& answer);

/// What differs between the rules and the desired ones in the chains that the packet meets in either of them.
[[nodiscard]] std::vector<PathDifference> differences_on_path(const rules::walk::Ruleset& ruleset,
                                                              const rules::walk::Walk& walk,
                                                              const rules::walk::Ruleset& desired,
                                                              const rules::walk::Walk& desired_walk);

}  // namespace kubenatd::agent::explain
