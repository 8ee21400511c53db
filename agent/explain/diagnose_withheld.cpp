#include <fmt/format.h>

#include <optional>
#include <utility>

#include "agent/explain/diagnose.h"
#include "agent/state/frontend_guard.h"
#include "agent/state/service_state.h"
#include "agent/state/withheld.h"

namespace kubenatd::agent::explain {
namespace {

/// Why a Service does not get what it asks for at the packet's destination; none: it does not ask, or gets it.
std::optional<std::string> refusal(const state::FrontendGuard& guard, const objects::Service& service,
                                   const rules::Frontend& asked, bool is_local) {
  if (!state::is_proxied(service)) return std::nullopt;
  auto why = state::why_withheld(guard, service, asked);
  if (!why && is_local) why = state::why_withheld(guard, service, {std::nullopt, asked.protocol, asked.port});
  return why;
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
  const rules::Frontend asked{packet.destination, packet.protocol, packet.destination_port};
  const bool is_local = context.surroundings.is_local(packet.destination);
  std::vector<std::string> lines;
  for (const objects::Service* service : context.inventory.all<objects::Service>())
    if (const auto why = refusal(*context.guard, *service, asked, is_local))
      lines.push_back(fmt::format("Service {}: {}", service->key.to_string(), *why));
  if (is_local)
    for (const objects::Pod* pod : context.inventory.all<objects::Pod>())
      if (const auto why = refusal(*context.guard, *pod, context, packet))
        lines.push_back(fmt::format("Pod {}: {}", pod->key.to_string(), *why));
  if (lines.empty()) return false;
  add_finding(answer, Finding::Weight::kProblem, "frontend-withheld",
              fmt::format("{} is kept from who asks for it", to_text(asked)), std::move(lines));
  return true;
}

}  // namespace kubenatd::agent::explain
