#pragma once

#include "netlink/core/nf_tables.h"
#include "rules/nftables/walk.h"

namespace kubenatd::agent::dataplane::nftables {

/// The table of nftables mode as the kernel has it, for a walk. A rule that is none of the wanted ones is there without
/// statements, and a base chain that is hooked in another way is there without a hook. Remembered clients are not read.
[[nodiscard]] rules::Result<rules::nftables::TableState> read_live_table(netlink::NfTables& kernel,
                                                                         rules::Family family,
                                                                         const rules::nftables::Ruleset& wanted);

}  // namespace kubenatd::agent::dataplane::nftables
