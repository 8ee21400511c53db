#include "rules/iptables/host_port_chains.h"

#include <utility>

#include "rules/hostport/compiler.h"
#include "rules/hostport/names.h"

namespace kubenatd::rules::iptables {
namespace {

/// The chains for which `is_asked` holds.
void hand_out(const hostport::HostPorts& host_ports, const std::function<bool(const ChainId&)>& is_asked,
              ChainSink& sink) {
  const auto shared = [&](const ChainId& id, std::vector<Rule> rules) {
    if (!is_asked(id)) return;
    SharedChain chain{.id = id, .by_rule = true, .slots = {}, .literals = {}, .only_if_there = rules.empty()};
    for (Rule& rule : rules) chain.add_literal(std::move(rule));
    sink.shared(chain);
  };
  // Without a host port they may be another writer's: they are left as they are, as portmap leaves them.
  if (!host_ports.empty())
    for (const ChainRules& chain : hostport::compile_shared()) shared(chain.id, chain.rules);
  for (const auto& [name, chain] : host_ports.chains())
    if (is_asked({Table::kNat, name})) sink.chain(hostport::compile_container(chain.pod), chain.digest);
  shared({Table::kNat, ChainName(hostport::kDnatChain)}, host_ports.entries());
}

}  // namespace

void take_host_port_changes(hostport::HostPorts& host_ports, ChainSink& sink) {
  const auto changes = host_ports.take_changes();
  if (!changes.any) return;
  const auto concerns = [&](const ChainId& chain) {
    return hostport::is_shared_chain(chain.table, chain.name) || changes.changed.contains(chain.name);
  };
  hand_out(host_ports, concerns, sink);
  for (const ChainName& chain : changes.gone) sink.gone({Table::kNat, chain});
}

void replay_host_ports(const hostport::HostPorts& host_ports, const std::set<ChainId>& chains, ChainSink& sink) {
  hand_out(
      host_ports, [&](const ChainId& id) { return chains.contains(id); }, sink);
}

void replay_host_ports(const hostport::HostPorts& host_ports, ChainSink& sink) {
  hand_out(
      host_ports, [](const ChainId&) { return true; }, sink);
}

bool wants_host_port_chain(const hostport::HostPorts& host_ports, const ChainId& chain) {
  return hostport::is_shared_chain(chain.table, chain.name) ||
         (chain.table == Table::kNat && host_ports.chains().contains(chain.name));
}

void for_each_host_port_chain(const hostport::HostPorts& host_ports,
                              const std::function<void(const WantedChain&)>& visit) {
  if (!host_ports.empty())
    for (const ChainRules& chain : hostport::compile_shared()) visit({chain.id, std::nullopt});
  for (const auto& [name, chain] : host_ports.chains()) visit({{Table::kNat, name}, chain.digest});
  visit({{Table::kNat, ChainName(hostport::kDnatChain)}, std::nullopt});
}

}  // namespace kubenatd::rules::iptables
