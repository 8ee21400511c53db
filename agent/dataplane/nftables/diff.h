#pragma once

#include <set>
#include <string>
#include <vector>

#include "agent/dataplane/dataplane.h"
#include "rules/nftables/desired.h"

namespace kubenatd::agent::dataplane::nftables {

/// How the live table differs from the desired one, set by set and chain by chain; the order of endpoints does not
/// count. Remembered clients are not looked at. Live rules that are not wanted are told by the names of their
/// expressions. `devices` are those that the flowtable should have. Nothing is changed.
[[nodiscard]] rules::Result<std::vector<ObjectDiff>> diff_with_live(netlink::NfTables& kernel,
                                                                    const rules::nftables::DesiredElements& desired,
                                                                    const rules::nftables::HostPortElements& host_ports,
                                                                    const std::set<std::string>& devices);

}  // namespace kubenatd::agent::dataplane::nftables
