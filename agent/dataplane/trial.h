#pragma once

#include "agent/dataplane/dataplane.h"
#include "netlink/core/batch.h"

namespace kubenatd::agent::dataplane {

/// Messages that need of the kernel all that the mode could ever write in the family: meant for netlink::try_out(), and
/// not for a commit. They are made by the compilers and encoders of the mode itself, in tables and chains whose names
/// nobody uses; only the chains that are hooked in lie in a table that no packet meets. Pure.
[[nodiscard]] netlink::Batch make_trial(config::Config::Mode mode, rules::Family family, const NodeFacts& facts);

/// The beginning of all names in it.
inline constexpr const char* kTrialName = "kubenatd-trial";

}  // namespace kubenatd::agent::dataplane
