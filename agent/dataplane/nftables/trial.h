#pragma once

#include "agent/dataplane/dataplane.h"
#include "netlink/core/batch.h"

namespace kubenatd::agent::dataplane::nftables {

/// See dataplane::make_trial(). It has every set, chain and statement of the table, each statement as a rule of its
/// own: so the kernel answers about each of them, though one before it in its rule is refused.
[[nodiscard]] netlink::Batch make_trial(rules::Family family, const NodeFacts& facts);

}  // namespace kubenatd::agent::dataplane::nftables
