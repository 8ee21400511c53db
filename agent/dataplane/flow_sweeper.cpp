#include "agent/dataplane/flow_sweeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace kubenatd::agent::dataplane {
namespace {

constexpr std::uint8_t kUdp = 17;
constexpr auto kSecondSweep = std::chrono::seconds(1);

/// To a UDP flow, a host port is a service on one address, or on all that is local.
rules::ServicePortView view_of(const rules::hostport::PodPorts& pod, const rules::hostport::Mapping& mapping) {
  rules::ServicePortView view;
  view.name = fmt::format("hostPort {}", to_text(mapping));  // a name that no service port has
  view.protocol = rules::Protocol::kUdp;
  view.port = mapping.host_port;
  view.cluster_ip.family = pod.address.family;
  if (mapping.host_ip) {
    view.external_ips = {*mapping.host_ip};
  } else {
    view.node_port = mapping.host_port;
  }
  rules::Endpoint endpoint;
  endpoint.address = pod.address;
  endpoint.port = mapping.container_port;
  endpoint.is_serving = true;
  view.endpoints = {endpoint};
  return view;
}

}  // namespace

void FlowSweeper::apply(const state::ViewChange& change) {
  // A port of another protocol may have the same name, and its changes say nothing about the UDP one.
  if (change.protocol != rules::Protocol::kUdp) return;
  now_ = true;
  if (change.view) {
    frontends_.upsert(*change.view);
  } else {
    frontends_.erase(change.name);
  }
}

void FlowSweeper::add(const rules::ServicePortView& view) {
  if (view.protocol == rules::Protocol::kUdp) frontends_.upsert(view);
}

void FlowSweeper::set_node(const rules::NodeOptions& options, std::span<const rules::Address> local,
                           std::span<const rules::Prefix> local_prefixes) {
  const state::NodeAddresses all(family_, local, local_prefixes);
  frontends_.set_local(all);
  frontends_.set_node_addresses(
      options.node_port_addresses ? state::NodeAddresses(family_, *options.node_port_addresses) : all);
  now_ = true;
}

void FlowSweeper::follow(const rules::hostport::HostPorts& host_ports) {
  if (std::exchange(host_port_version_, host_ports.version()) == host_ports.version()) return;
  std::set<std::string> names;
  for (const auto& [name, chain] : host_ports.chains())
    for (const auto& mapping : chain.pod.mappings) {
      if (mapping.protocol != rules::Protocol::kUdp) continue;
      const rules::ServicePortView view = view_of(chain.pod, mapping);
      frontends_.upsert(view, state::UdpFrontends::Claimant::kHostPort);
      names.insert(view.name);
    }
  for (const std::string& name : host_ports_)
    if (!names.contains(name)) frontends_.erase(name);
  host_ports_ = std::move(names);
  now_ = true;
}

void FlowSweeper::add_left_over(const UdpFrontend& frontend) {
  if (frontend.address) {
    frontends_.add_removed(*frontend.address, frontend.port);
  } else if (frontend.is_host_port) {
    frontends_.add_removed_host_port(frontend.port);
  } else {
    frontends_.add_removed_node_port(frontend.port);
  }
}

rules::Result<FlowSweeper::Swept> FlowSweeper::sweep(Kernel& kernel, Time now) {
  const Time start = Clock::now();
  std::unordered_map<rules::Address, bool> known;
  const auto is_local = [&](const rules::Address& address) {
    const auto [place, is_new] = known.try_emplace(address, true);
    // Where the kernel gives no word the prefix has the last one.
    if (is_new) place->second = kernel.is_local(address).value_or(true);
    return place->second;
  };
  const auto swept = kernel.sweep_flows(family_, kUdp, [&](const netlink::host::ConntrackFlow& flow) {
    return frontends_.is_stale({.original_destination = flow.original_destination,
                                .original_destination_port = flow.original_destination_port,
                                .reply_source = flow.reply_source,
                                .reply_source_port = flow.reply_source_port},
                               is_local);
  });
  const bool last = !std::exchange(now_, false);
  if (!swept) {
    again_.reset();
    return std::unexpected(swept.error());
  }
  if (last && !swept->interrupted) {
    again_.reset();
    frontends_.swept();
  } else {
    again_ = now + kSecondSweep;
  }
  return Swept{swept->deleted, Clock::now() - start};
}

}  // namespace kubenatd::agent::dataplane
