#pragma once

#include <cstdint>
#include <optional>

#include "agent/node/finding.h"

/// Connection tracking, without which nothing is translated.
namespace kubenatd::agent::node {

struct ConnectionTracking {
  bool loaded_before = false;  ///< its settings were there before anything was tried out
  std::optional<std::uint64_t> entries, most_entries;
  std::optional<bool> be_liberal;
};

/// Whether its settings are there.
[[nodiscard]] bool is_conntrack_loaded();
/// The rest. `loaded_before` as is_conntrack_loaded() said it before the kernel was made to load it.
[[nodiscard]] ConnectionTracking read_connection_tracking(bool loaded_before);
/// Pure.
[[nodiscard]] Findings judge(const ConnectionTracking& tracking);

}  // namespace kubenatd::agent::node
