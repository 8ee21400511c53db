#pragma once

#include <string_view>

#include "agent/dataplane/dataplane.h"

namespace kubenatd::agent::dataplane::nftables {

/// Deletes a table of nft with all that is in it, in whatever state it is. One that is not there is no error; one
/// that another program owns is (EBUSY).
[[nodiscard]] rules::Result<CleanupReport> remove_table(netlink::NfTables& kernel, rules::Family family,
                                                        std::string_view table);

}  // namespace kubenatd::agent::dataplane::nftables
