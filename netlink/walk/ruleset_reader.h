#pragma once

#include <memory>
#include <optional>
#include <string>

#include "netlink/core/nf_tables.h"
#include "rules/error.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::netlink::walk {

/// Reads everybody's tables of ip, ip6, inet, netdev and bridge from the kernel: chains, rules with counters, sets. A
/// set with more than a few hundred elements is not read: its keys are asked for one by one (NFT_MSG_GETSETELEM) over
/// `kernel`, which must outlive the Ruleset. Tables of bridge are read only to say that they are there (not_looked_at),
/// when a chain of theirs has rules.
///
/// Failure: an error names what could not be read. A table that comes or goes meanwhile is read as far as it is there.
/// Cost: everything is read, once.
[[nodiscard]] rules::Result<rules::walk::Ruleset> read_ruleset(const std::shared_ptr<NfTables>& kernel);

}  // namespace kubenatd::netlink::walk
