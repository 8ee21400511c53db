#pragma once

#include <cstddef>
#include <optional>

#include "agent/node/finding.h"

/// How much the process may open.
namespace kubenatd::agent::node {

struct Limits {
  std::size_t descriptors = 0, most_descriptors = 0;              ///< soft and hard RLIMIT_NOFILE
  int inotify = 0;                                                ///< 0, or the errno of a try to follow a folder
  std::optional<std::size_t> inotify_instances, inotify_watches;  ///< what a user may have of them
};

/// Tries inotify on "/": what is made is given back.
[[nodiscard]] Limits read_limits();
/// `least` descriptors are kept for the work itself. Pure.
[[nodiscard]] Findings judge(const Limits& limits, std::size_t least);

}  // namespace kubenatd::agent::node
