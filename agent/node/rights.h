#pragma once

#include <optional>

#include "agent/node/finding.h"

/// What this process may do.
namespace kubenatd::agent::node {

struct Rights {
  std::optional<bool> net_admin;       ///< CAP_NET_ADMIN is in force
  std::optional<bool> user_namespace;  ///< it is not the host's users' namespace
};

/// Of the calling thread, from /proc.
[[nodiscard]] Rights read_rights();
/// Pure.
[[nodiscard]] Findings judge(const Rights& rights);

}  // namespace kubenatd::agent::node
