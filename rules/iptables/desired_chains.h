#pragma once

#include <functional>
#include <set>

#include "rules/hostport/host_ports.h"
#include "rules/iptables/desired.h"
#include "rules/iptables/host_port_chains.h"

namespace kubenatd::rules::iptables {

/// All chains that iptables mode wants in one family: those of service ports and those of host ports.
///
/// Threading: one thread. Failure: none. Cost: as DesiredTables and HostPorts.
struct DesiredChains {
  DesiredTables service_ports;
  hostport::HostPorts host_ports;

  [[nodiscard]] bool has_changes() const { return service_ports.has_changes() || host_ports.has_changes(); }
  /// Hands all pending changes to `sink` and forgets that they were pending.
  void take_changes(ChainSink& sink);
  /// Hands out the present content of these chains again, pending or not; chains that are not wanted as gone.
  void replay(const std::set<ChainId>& chains, ChainSink& sink) const;

  [[nodiscard]] bool wants(const ChainId& chain) const {
    return wants_host_port_chain(host_ports, chain) || service_ports.wants(chain);
  }
  void for_each_wanted(const std::function<void(const WantedChain&)>& visit) const;
};

}  // namespace kubenatd::rules::iptables
