#pragma once

#include <optional>

#include "agent/explain/context.h"

namespace kubenatd::agent::explain {

/// Walks the answer's packet through the table of nftables mode: steps and ends of the answer, why it is masqueraded,
/// and what differs from `desired` in the rules and elements that the packet meets in either of them.
void tell_table_path(const ExplainContext& context, const rules::nftables::TableState& table,
                     const std::optional<rules::nftables::TableState>& desired, Answer& answer);

}  // namespace kubenatd::agent::explain
