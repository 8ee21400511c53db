#pragma once

#include <optional>

#include "agent/config/config.h"
#include "agent/config/environment.h"
#include "agent/objects/objects.h"
#include "agent/state/frontend_guard.h"

namespace kubenatd::agent::dataplane {

/// What Services and Pods may not take from this node: ports of kubenatd's own servers, of the kubelet, and reserved
/// ones that somebody listens at. Pure: the same inputs give the same answer.
[[nodiscard]] state::GuardedNode guarded_node(const config::Config& config, const config::Environment& environment,
                                              const std::optional<objects::Node>& node);

}  // namespace kubenatd::agent::dataplane
