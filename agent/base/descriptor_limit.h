#pragma once

#include <cstddef>

namespace kubenatd::agent::base {

/// How many descriptors this process may have open (the soft RLIMIT_NOFILE).
[[nodiscard]] std::size_t descriptor_limit();
/// How far that may be raised (the hard one).
[[nodiscard]] std::size_t most_descriptors();
/// Raises the soft limit to the hard one, as Go's runtime does for kube-proxy at its start, and returns what holds
/// then. The soft limit is low for programs that use select(2), which this one does not.
std::size_t raise_descriptor_limit();

}  // namespace kubenatd::agent::base
