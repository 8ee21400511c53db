#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "agent/explain/diagnose.h"
#include "agent/state/frontend_guard.h"
#include "agent/state/service_state.h"

namespace kubenatd::agent::explain {
namespace {

using Asked = state::FrontendGuard::Asked;

bool has(const std::vector<rules::Address>& addresses, const rules::Address& address) {
  return std::ranges::find(addresses, address) != addresses.end();
}

/// Why a Service does not get what it asks for at the packet's destination; none: it does not ask, or gets it.
std::optional<std::string> refusal(const state::FrontendGuard& guard, const objects::Service& service,
                                   const rules::walk::Packet& packet, bool is_local) {
  if (!state::is_proxied(service)) return std::nullopt;
  const rules::Address& address = packet.destination;
  for (const objects::ServicePort& port : service.ports) {
    if (port.protocol != packet.protocol) continue;
    if (port.port == packet.destination_port)
      for (const auto& [asked, addresses] :
           {std::pair(Asked::kClusterIp, &service.cluster_ips), std::pair(Asked::kExternalIp, &service.external_ips),
            std::pair(Asked::kLoadBalancerIp, &service.load_balancer_ips)})
        if (has(*addresses, address))
          if (auto why = guard.refusal(service.key, asked, address, port.protocol, port.port)) return why;
    if (is_local && port.node_port != 0 && port.node_port == packet.destination_port)
      if (auto why = guard.node_port_refusal(port.protocol, port.node_port)) return why;
  }
  return std::nullopt;
}

/// The same for a hostPort of a Pod.
std::optional<std::string> refusal(const state::FrontendGuard& guard, const objects::Pod& pod,
                                   const ExplainContext& context, const rules::walk::Packet& packet) {
  if (!claims(pod, context.node_name, packet.destination, packet.destination_port, packet.protocol))
    return std::nullopt;
  return guard.node_port_refusal(packet.protocol, packet.destination_port, packet.destination);
}

}  // namespace

bool diagnose_withheld(const ExplainContext& context, Answer& answer) {
  if (!context.guard) return false;
  const auto& packet = answer.packet;
  const bool is_local = context.surroundings.is_local(packet.destination);
  std::vector<std::string> lines;
  for (const objects::Service* service : context.inventory.all<objects::Service>())
    if (const auto why = refusal(*context.guard, *service, packet, is_local))
      lines.push_back(fmt::format("Service {}: {}", service->key.to_string(), *why));
  if (is_local)
    for (const objects::Pod* pod : context.inventory.all<objects::Pod>())
      if (const auto why = refusal(*context.guard, *pod, context, packet))
        lines.push_back(fmt::format("Pod {}: {}", pod->key.to_string(), *why));
  if (lines.empty()) return false;
  const rules::Frontend asked{packet.destination, packet.protocol, packet.destination_port};
  add_finding(answer, Finding::Weight::kProblem, "frontend-withheld",
              fmt::format("{} is kept from who asks for it", to_text(asked)), std::move(lines));
  return true;
}

}  // namespace kubenatd::agent::explain
