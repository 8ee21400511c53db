#include "agent/state/health_checks.h"

#include <set>

namespace kubenatd::agent::state {

std::optional<HealthCheck> health_check_of(const objects::Service& service,
                                           const std::vector<std::shared_ptr<const objects::EndpointSlice>>& slices,
                                           const std::string& node_name, const FrontendGuard& guard) {
  if (service.health_check_node_port == 0) return std::nullopt;
  const std::uint16_t port = service.health_check_node_port;
  std::set<rules::Address> local;
  for (const auto& slice : slices)
    for (const objects::SliceEndpoint& endpoint : slice->endpoints)
      if (endpoint.ready && !endpoint.place->node_name.empty() && endpoint.place->node_name == node_name)
        local.insert(endpoint.address);
  return HealthCheck{
      .port = port, .local_endpoints = local.size(), .refusal = guard.node_port_refusal(rules::Protocol::kTcp, port)};
}

void HealthChecks::set(const objects::ObjectKey& service, const std::optional<HealthCheck>& now) {
  const auto before = all_.find(service);
  if (before == all_.end() ? !now : now == before->second) return;
  changes_.insert_or_assign(service, now);
  if (now) {
    all_.insert_or_assign(service, *now);
  } else {
    all_.erase(before);
  }
}

}  // namespace kubenatd::agent::state
