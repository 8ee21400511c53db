#include "rules/iptables/desired_chains.h"

namespace kubenatd::rules::iptables {

void DesiredChains::take_changes(ChainSink& sink) {
  service_ports.take_changes(sink);
  take_host_port_changes(host_ports, sink);
}

void DesiredChains::replay(const std::set<ChainId>& chains, ChainSink& sink) const {
  std::set<ChainId> of_host_ports, others;
  for (const ChainId& chain : chains) (wants_host_port_chain(host_ports, chain) ? of_host_ports : others).insert(chain);
  service_ports.replay(others, sink);
  replay_host_ports(host_ports, of_host_ports, sink);
}

void DesiredChains::for_each_wanted(const std::function<void(const WantedChain&)>& visit) const {
  service_ports.for_each_wanted(visit);
  for_each_host_port_chain(host_ports, visit);
}

}  // namespace kubenatd::rules::iptables
