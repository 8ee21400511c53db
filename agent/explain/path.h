#pragma once

#include "agent/explain/context.h"
#include "agent/explain/ways.h"
#include "rules/walk/walker.h"

namespace kubenatd::agent::explain {

/// Whose address a packet ends at: "pod demo/web-1 on this node", "this node"; may be empty.
[[nodiscard]] std::string describe_who(const ExplainContext& context, const rules::Address& address,
                                       rules::walk::End end);

/// The walk as steps and ends of the answer, and why it is masqueraded.
void tell_path(const ExplainContext& context, const rules::walk::Walk& walk, const Ways& ways, Answer& answer);

}  // namespace kubenatd::agent::explain
