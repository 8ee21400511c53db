#pragma once

#include <vector>

#include "rules/hostport/host_ports.h"
#include "rules/iptables/desired.h"
#include "rules/text.h"

namespace kubenatd::agent::dataplane::iptables {

/// The whole desired content of filter and nat of one family, with the builtin chains and our jumps in them: what
/// iptables-save would print of a kernel that holds nothing else.
[[nodiscard]] std::vector<rules::TableText> list_desired(const rules::iptables::DesiredTables& service_ports,
                                                         const rules::hostport::HostPorts& host_ports);

}  // namespace kubenatd::agent::dataplane::iptables
