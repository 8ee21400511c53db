#pragma once

#include <functional>
#include <set>

#include "rules/hostport/host_ports.h"
#include "rules/iptables/chain_sink.h"

/// The chains of host ports, which stand beside those of service ports in nat.
namespace kubenatd::rules::iptables {

/// Hands all pending changes to `sink` and forgets that they were pending.
void take_host_port_changes(hostport::HostPorts& host_ports, ChainSink& sink);
/// Hands out the present content of those of `chains` that are wanted.
void replay_host_ports(const hostport::HostPorts& host_ports, const std::set<ChainId>& chains, ChainSink& sink);
/// Hands out everything.
void replay_host_ports(const hostport::HostPorts& host_ports, ChainSink& sink);

/// The three chains that all writers share, and the chains of pods in force.
[[nodiscard]] bool wants_host_port_chain(const hostport::HostPorts& host_ports, const ChainId& chain);
/// CNI-HOSTPORT-DNAT is always among them, because rules of ours may be left over there.
void for_each_host_port_chain(const hostport::HostPorts& host_ports,
                              const std::function<void(const WantedChain&)>& visit);

}  // namespace kubenatd::rules::iptables
