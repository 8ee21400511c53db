#include "agent/explain/identify.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace kubenatd::agent::explain {
namespace {

using Target = Subject::Kind;

bool has(const std::vector<rules::Address>& addresses, const rules::Address& address) {
  return std::ranges::find(addresses, address) != addresses.end();
}

Target kind_in(const rules::ServicePortView& view, const rules::Address& address, std::uint16_t port, bool local) {
  if (view.port == port) {
    if (has_cluster_ip(view) && view.cluster_ip == address) return Target::kClusterIp;
    if (has(view.load_balancer_ips, address)) return Target::kLoadBalancerIp;
    if (has(view.external_ips, address)) return Target::kExternalIp;
  }
  return local && view.node_port == port ? Target::kNodePort : Target::kNone;
}

bool has_address(const objects::Service& service, const rules::Address& address) {
  return has(service.cluster_ips, address) || has(service.external_ips, address) ||
         has(service.load_balancer_ips, address);
}

bool has_node_port(const objects::Service& service, std::uint16_t port, rules::Protocol protocol) {
  return std::ranges::any_of(service.ports, [&](const objects::ServicePort& one) {
    return one.node_port == port && one.protocol == protocol;
  });
}

rules::Usability usability_at(const rules::ServicePortView& view, Target kind, const rules::Address& address,
                              std::uint16_t port) {
  const std::optional<rules::Address> at = kind == Target::kNodePort ? std::nullopt : std::optional(address);
  return rules::usability_of(view, {at, view.protocol, port}, rules::reach_of(view));
}

bool serves(const rules::ServicePortView& view, const std::vector<PathEnd>& ends) {
  return std::ranges::any_of(ends, [&](const PathEnd& end) {
    return end.destination_changed && std::ranges::any_of(view.endpoints, [&](const rules::Endpoint& one) {
             return one.address == end.destination && one.port == end.port;
           });
  });
}

}  // namespace

objects::ObjectKey service_key(std::string_view service_port_name) {
  const auto slash = service_port_name.find('/');
  if (slash == std::string_view::npos) return {};
  const std::string_view rest = service_port_name.substr(slash + 1);
  return {std::string(service_port_name.substr(0, slash)), std::string(rest.substr(0, rest.find(':')))};
}

bool claims(const objects::Pod& pod, const std::string& node, const rules::Address& address, std::uint16_t port,
            rules::Protocol protocol) {
  const bool ended = pod.phase == objects::Pod::Phase::kSucceeded || pod.phase == objects::Pod::Phase::kFailed;
  if (pod.host_network || ended || (!pod.node_name.empty() && pod.node_name != node)) return false;
  return std::ranges::any_of(pod.ports, [&](const objects::ContainerPort& one) {
    return one.host_port == port && one.protocol == protocol &&
           (!one.host_ip || one.host_ip->is_unspecified() || *one.host_ip == address);
  });
}

Identity identify(const ExplainContext& context, const rules::Address& address, std::uint16_t port,
                  rules::Protocol protocol, const std::vector<PathEnd>& ends) {
  Identity found;
  const bool local = context.surroundings.is_local(address);
  for (const rules::ServicePortView* one : context.views[static_cast<std::size_t>(address.family)]) {
    const rules::ServicePortView& view = *one;
    if (local && protocol == rules::Protocol::kTcp && view.health_check_node_port == port)
      found.subject = {Target::kHealthCheck, view.name};
    if (view.protocol != protocol) continue;
    const Target kind = kind_in(view, address, port, local);
    if (kind == Target::kNone) continue;
    const rules::Usability usability = usability_at(view, kind, address, port);
    if (found.view != nullptr) {
      // Views come by name.
      const rules::Usability before = usability_at(*found.view, found.subject.kind, address, port);
      if (std::pair(!serves(*found.view, ends), before) <= std::pair(!serves(view, ends), usability)) {
        found.rivals.push_back({view.name, usability});
        continue;
      }
      found.rivals.push_back({found.view->name, before});
    }
    found.subject = {kind, view.name};
    found.view = &view;
  }
  if (found.view != nullptr) {
    const objects::ObjectKey key = service_key(found.view->name);
    found.service = context.inventory.find<objects::Service>(key);
    if (found.service != nullptr)
      for (const objects::ServicePort& one : found.service->ports)
        if (one.port == found.view->port && one.protocol == protocol) found.port = &one;
    return found;
  }
  if (found.subject.kind != Target::kNone) return found;
  for (const objects::Pod* pod : context.inventory.all<objects::Pod>()) {
    if (!local || !claims(*pod, context.node_name, address, port, protocol)) continue;
    found.subject = {Target::kHostPort, pod->key.to_string()};
    found.pod = pod;
    return found;
  }
  for (const objects::Service* service : context.inventory.all<objects::Service>())
    if (has_address(*service, address) || (local && has_node_port(*service, port, protocol))) found.near = service;
  if (found.near != nullptr) return found;
  found.pod = context.inventory.pod_with(address);
  if (found.pod != nullptr) {
    found.subject = {Target::kPod, found.pod->key.to_string()};
  } else if (local) {
    found.subject = {Target::kNode, context.node_name};
  }
  return found;
}

}  // namespace kubenatd::agent::explain
