#pragma once

#include <optional>
#include <vector>

#include "rules/hostport/host_ports.h"
#include "rules/iptables/desired.h"
#include "rules/iptables/desired_chains.h"
#include "rules/text.h"

namespace kubenatd::agent::dataplane::iptables {

/// The whole desired content of filter and nat of one family, with the builtin chains and our jumps in them: what
/// iptables-save would print of a kernel that holds nothing else.
[[nodiscard]] std::vector<rules::TableText> list_desired(const rules::iptables::DesiredTables& service_ports,
                                                         const rules::hostport::HostPorts& host_ports);

/// Of that, the builtin chains alone.
[[nodiscard]] std::vector<rules::TableText> list_builtin(const rules::hostport::HostPorts& host_ports);

/// Of that, one of the other chains; none: it is not wanted. `desired` has no pending changes. Cost: the chain, for a
/// shared one that of arranging it.
[[nodiscard]] std::optional<rules::TableText::Chain> list_chain(const rules::iptables::DesiredChains& desired,
                                                                const rules::ChainId& id);

}  // namespace kubenatd::agent::dataplane::iptables
