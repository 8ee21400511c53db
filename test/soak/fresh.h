#pragma once

#include <string>

#include "test/soak/agent.h"

namespace kubenatd::soak {

/// What the node has otherwise than a node on which a fresh agent has written these manifests; empty: nothing. Chains
/// of the tree of addresses are left out: how it is cut depends on what was before (kubenatd diff has judged them).
/// `flushed_unseen`: a flush met no agent, or one without news.
[[nodiscard]] std::string difference_from_fresh(const std::string& mode, const Agent& agent,
                                                const test::Namespace& node, const std::string& manifests,
                                                bool flushed_unseen);

/// Rules on the node that kubenatd makes in the mode that this is not; empty: none.
[[nodiscard]] std::string left_of_other_mode(const std::string& mode, const test::Namespace& node);

}  // namespace kubenatd::soak
