#pragma once

#include <vector>

#include "agent/dataplane/dataplane.h"
#include "netlink/core/nf_tables.h"
#include "rules/hostport/host_ports.h"
#include "rules/iptables/desired.h"

namespace kubenatd::agent::dataplane::iptables {

/// Compares the live chains of one family with the desired ones, rule by rule, in chain order. Chains of others, and
/// rules of others in builtin chains, are not looked at. Host ports that others serve are withheld in `host_ports`.
[[nodiscard]] rules::Result<std::vector<ObjectDiff>> diff_with_live(netlink::NfTables& kernel, rules::Family family,
                                                                    const rules::iptables::DesiredTables& service_ports,
                                                                    rules::hostport::HostPorts& host_ports);

}  // namespace kubenatd::agent::dataplane::iptables
