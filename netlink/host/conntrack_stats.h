#pragma once

#include <cstdint>

#include "rules/error.h"

namespace kubenatd::netlink::host {

/// What connection tracking of this network namespace has counted since it began, over all processors.
struct ConntrackStats {
  std::uint64_t insert_failed = 0;  ///< packets dropped because an entry of the same tuple was there first
  std::uint64_t dropped = 0;        ///< packets dropped because no entry could be made: mostly, the table is full
  std::uint64_t early_dropped = 0;  ///< entries removed to make room in a full table
};

/// Reads the statistics of ctnetlink. The kernel's counters have 32 bits for each processor and may start anew. Needs
/// CAP_NET_ADMIN. Errors: EPERM; EOPNOTSUPP: the kernel has no ctnetlink. Cost: one dump of a message for each
/// processor.
[[nodiscard]] rules::Result<ConntrackStats> read_conntrack_stats();

}  // namespace kubenatd::netlink::host
