#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <string>

#include "netlink/core/nf_tables.h"
#include "rules/error.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::netlink::walk {

/// Of every table all chains are read, so that all is as it was at one time, and stays.
inline constexpr std::size_t kAllAtOnce = std::numeric_limits<std::size_t>::max();

/// Reads everybody's tables of ip, ip6, inet, netdev and bridge from the kernel: chains, rules with counters, sets. A
/// set with more than a few hundred elements is not read: its keys are asked for one by one (NFT_MSG_GETSETELEM) over
/// `kernel`, which the Ruleset keeps. So it is with chains of a table that has more rules than `at_once`, but for those
/// that hooks lead to: they are read when a walk comes to them. Ruleset::is_current says whether the kernel has still
/// the generation of what was read. Tables of bridge are read only to say that they are there (not_looked_at), when a
/// chain of theirs has rules.
///
/// Failure: an error names what could not be read. A table that comes or goes meanwhile is read as far as it is there.
/// Cost: everything is read, once; of a table on demand, the names of its chains, what hooks lead to, and, when it has
/// sets that its rules may write into, each rule for a look at that.
[[nodiscard]] rules::Result<rules::walk::Ruleset> read_ruleset(const std::shared_ptr<NfTables>& kernel,
                                                               std::size_t at_once = kAllAtOnce);

}  // namespace kubenatd::netlink::walk
