#pragma once

#include "agent/dataplane/dataplane.h"

namespace kubenatd::agent::dataplane::nftables {

/// Deletes the table `kubenatd` of the family, in whatever state it is.
[[nodiscard]] rules::Result<CleanupReport> remove_table(netlink::NfTables& kernel, rules::Family family);

}  // namespace kubenatd::agent::dataplane::nftables
