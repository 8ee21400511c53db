#include "rules/frontend.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace kubenatd::rules {

std::string to_text(const Frontend& frontend) {
  const std::string where =
      frontend.address ? join_host_port(*frontend.address, frontend.port) : fmt::format("NodePort {}", frontend.port);
  return fmt::format("{}/{}", where, name_of(frontend.protocol));
}

std::vector<Frontend> frontends_of(const ServicePortView& view) {
  std::vector<Frontend> frontends;
  if (has_cluster_ip(view)) frontends.push_back({view.cluster_ip, view.protocol, view.port});
  // Few are compared one by one; there may be thousands.
  constexpr std::size_t kFew = 16;
  const bool many = view.external_ips.size() + view.load_balancer_ips.size() > kFew;
  std::set<Frontend> seen;
  if (many) seen.insert(frontends.begin(), frontends.end());
  const auto add = [&](Frontend frontend) {
    const bool is_new = many ? seen.insert(frontend).second : std::ranges::find(frontends, frontend) == frontends.end();
    if (is_new) frontends.push_back(frontend);
  };
  for (const Address& address : view.external_ips) add({address, view.protocol, view.port});
  for (const Address& address : view.load_balancer_ips) add({address, view.protocol, view.port});
  if (view.node_port != 0) add({std::nullopt, view.protocol, view.node_port});
  return frontends;
}

bool is_internal(const ServicePortView& view, const Frontend& frontend) {
  return frontend.address == view.cluster_ip && frontend.port == view.port;
}

Reach reach_of(const ServicePortView& view) {
  return {.cluster = std::ranges::any_of(view.endpoints, [](const Endpoint& one) { return one.for_cluster; }),
          .local = std::ranges::any_of(view.endpoints, [](const Endpoint& one) { return one.for_local; })};
}

Usability usability_of(const ServicePortView& view, const Frontend& frontend, Reach reach) {
  if (!view.has_endpoints) return Usability::kNone;
  const bool local = is_internal(view, frontend) ? view.internal_policy_local : view.external_policy_local;
  return (local ? reach.local : reach.cluster) ? Usability::kUsable : Usability::kElsewhere;
}

}  // namespace kubenatd::rules
