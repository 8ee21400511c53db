#pragma once

#include "agent/dataplane/dataplane.h"
#include "netlink/core/batch.h"

namespace kubenatd::agent::dataplane::iptables {

/// See dataplane::make_trial(). One rule for each kind of match and target that a rule can have. x_tables ties some
/// targets to a table by its name, so the rules are in chains of their own of the real tables, which no rule jumps to.
[[nodiscard]] netlink::Batch make_trial(rules::Family family, const NodeFacts& facts);

}  // namespace kubenatd::agent::dataplane::iptables
