#pragma once

#include "netlink/core/nf_tables.h"
#include "rules/nftables/walk.h"

namespace kubenatd::agent::explain {

/// The table of nftables mode as the kernel has it. A rule that is none of the desired ones is there without
/// statements, and a base chain that is hooked in another way is there without a hook. `desired` takes the order of
/// endpoints over.
[[nodiscard]] rules::Result<rules::nftables::TableState> read_live_table(netlink::NfTables& kernel,
                                                                         rules::Family family,
                                                                         rules::nftables::DesiredElements& desired);

}  // namespace kubenatd::agent::explain
