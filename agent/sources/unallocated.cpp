#include "agent/sources/unallocated.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace kubenatd::agent::sources {
namespace {

constexpr std::string_view kNotSet = "is not set and nothing here allocates one";

void add_node_ports(const objects::Service& service, std::vector<std::string>& fields) {
  std::string ports;
  std::size_t missing = 0;
  constexpr std::size_t kShown = 5;
  for (const objects::ServicePort& port : service.ports) {
    if (port.node_port != 0) continue;
    if (++missing <= kShown)
      ports += fmt::format("{}{}/{}", missing == 1 ? "" : ", ", port.port, name_of(port.protocol));
  }
  if (missing == 0) return;
  if (missing > kShown) ports += fmt::format(" and {} more", missing - kShown);
  fields.push_back(fmt::format("spec.ports: nodePort {}: no NodePort leads to port {}", kNotSet, ports));
}

}  // namespace

std::vector<std::string> unallocated(const objects::Object& object) {
  using Type = objects::Service::Type;
  const auto* service = std::get_if<objects::Service>(&object);
  if (service == nullptr || service->foreign_proxy || service->type == Type::kExternalName) return {};
  std::vector<std::string> fields;
  if (service->cluster_ips.empty() && !service->headless) {
    const bool has_node_port =
        std::ranges::any_of(service->ports, [](const objects::ServicePort& port) { return port.node_port != 0; });
    const bool served = has_node_port || !service->external_ips.empty() || !service->load_balancer_ips.empty();
    fields.push_back(fmt::format(
        "spec.clusterIP: {}: {}", kNotSet,
        served ? "only its NodePorts, external and load balancer addresses are served" : "no rules are made for it"));
  }
  if (service->wants_node_ports && !service->headless) add_node_ports(*service, fields);
  if (service->type == Type::kLoadBalancer && service->load_balancer_ips.empty())
    fields.emplace_back("status.loadBalancer: has no IP address of mode VIP, and no load balancer is made here");
  if (service->type == Type::kLoadBalancer && service->external_policy_local && service->health_check_node_port == 0)
    fields.push_back(fmt::format("spec.healthCheckNodePort: {}", kNotSet));
  for (std::string& field : fields) field = fmt::format("Service {}: {}", service->key.to_string(), field);
  return fields;
}

}  // namespace kubenatd::agent::sources
