#pragma once

#include <memory>

#include "rules/hostport/host_ports.h"
#include "rules/iptables/desired.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::agent::dataplane::iptables {

/// The desired tables filter and nat of one family, for a walk. Of very many rules, a chain is compiled when the walk
/// comes to it: the Ruleset then keeps a copy of the views and of what is known of their chains.
///
/// Cost: compiles everything once; memory for every rule when they are few, else for the copy.
[[nodiscard]] rules::walk::Ruleset wanted_ruleset(rules::Family family,
                                                  const rules::iptables::DesiredTables& service_ports,
                                                  rules::hostport::HostPorts host_ports);

}  // namespace kubenatd::agent::dataplane::iptables
