#include "agent/dataplane/guarded_node.h"

#include "agent/config/bind_address.h"

namespace kubenatd::agent::dataplane {
namespace {

using rules::Protocol;

constexpr std::uint16_t kKubeletPort = 10250;  // the kubelet's default (KubeletConfiguration.port, v1.36)

}  // namespace

state::GuardedNode guarded_node(const config::Config& config, const config::Environment& environment,
                                const std::optional<objects::Node>& node) {
  state::GuardedNode guarded{.addresses = node ? node->addresses : std::vector<rules::Address>(),
                             .local_addresses = environment.local_addresses,
                             .ports = {},
                             .external_ranges = config.external_ip_ranges,
                             .load_balancer_ranges = config.load_balancer_ip_ranges};
  for (const auto& [text, holder] : {std::pair(&config.healthz_bind_address, "kubenatd's healthz"),
                                     std::pair(&config.metrics_bind_address, "kubenatd's metrics")})
    if (const auto bound = config::parse_bind_address(*text))
      guarded.ports.push_back({.protocol = Protocol::kTcp,
                               .port = bound->port,
                               .address = std::nullopt,
                               .on_every_node = false,
                               .holder = holder});
  // The API server connects to the kubelets of all nodes, from nodes that know only their own addresses.
  guarded.ports.push_back({.protocol = Protocol::kTcp,
                           .port = node && node->kubelet_port != 0 ? node->kubelet_port : kKubeletPort,
                           .address = std::nullopt,
                           .on_every_node = true,
                           .holder = "the kubelet"});
  for (const config::Listener& listener : environment.listeners)
    guarded.ports.push_back({.protocol = listener.protocol,
                             .port = listener.port,
                             .address = listener.address,
                             .on_every_node = false,
                             .holder = "a program that listens on the node (--reserved-ports)"});
  return guarded;
}

}  // namespace kubenatd::agent::dataplane
