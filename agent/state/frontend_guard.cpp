#include "agent/state/frontend_guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/objects/special_addresses.h"

namespace kubenatd::agent::state {
namespace {

using objects::ObjectKey;
using objects::Service;
using rules::Address;

constexpr const char* kApiServer = "the API server answers there";

bool is_in(const std::vector<rules::Prefix>& ranges, const Address& address) {
  return ranges.empty() || std::ranges::any_of(ranges, [&](const auto& range) { return range.contains(address); });
}

bool has(const std::vector<Address>& addresses, const Address& address) {
  return std::ranges::find(addresses, address) != addresses.end();
}

}  // namespace

const ObjectKey& api_server_service() {
  static const ObjectKey key{"default", "kubernetes"};
  return key;
}

bool FrontendGuard::set_api_service(const Service* service) {
  std::set<Address> ips;
  if (service != nullptr) ips.insert(service->cluster_ips.begin(), service->cluster_ips.end());
  return std::exchange(api_cluster_ips_, ips) != ips;
}

bool FrontendGuard::set_node(GuardedNode node) {
  if (node == node_) return false;
  node_ = std::move(node);
  return true;
}

bool FrontendGuard::set_api_server(const std::vector<std::shared_ptr<const objects::EndpointSlice>>& slices) {
  std::set<ApiEndpoint> endpoints;
  for (const auto& slice : slices)
    for (const objects::SlicePort& port : slice->ports)
      for (const objects::SliceEndpoint& endpoint : slice->endpoints)
        endpoints.emplace(endpoint.address, port.protocol, port.port);
  return std::exchange(api_server_, endpoints) != endpoints;
}

bool FrontendGuard::is_own(Asked asked, const Address& address) const {
  return has(node_.addresses, address) || (asked == Asked::kExternalIp && has(node_.local_addresses, address));
}

std::optional<std::string> FrontendGuard::holder_of(Asked asked, const Address& address, rules::Protocol protocol,
                                                    std::uint16_t port) const {
  for (const HeldPort& held : node_.ports) {
    if (held.protocol != protocol || held.port != port || (held.address && *held.address != address)) continue;
    if ((held.on_every_node && asked != Asked::kClusterIp) || is_own(asked, address))
      return fmt::format("{} has that port", held.holder);
  }
  return std::nullopt;
}

std::optional<std::string> FrontendGuard::refusal(const ObjectKey& service, Asked asked, const Address& address,
                                                  rules::Protocol protocol, std::uint16_t port) const {
  const bool is_external = asked != Asked::kClusterIp;
  if (address.is_unspecified() || address.is_loopback() || objects::is_multicast(address) ||
      objects::is_broadcast(address) || (is_external && objects::is_link_local(address)))
    return "no Service can have such an address";
  if (asked == Asked::kExternalIp && !is_in(node_.external_ranges, address)) return "it is not in --external-ip-range";
  if (asked == Asked::kLoadBalancerIp && !is_in(node_.load_balancer_ranges, address))
    return "it is not in --load-balancer-ip-range";
  if (service == api_server_service()) return std::nullopt;
  if (api_cluster_ips_.contains(address))
    return fmt::format("it is the cluster IP of {}/{}", api_server_service().ns, api_server_service().name);
  if (api_server_.contains({address, protocol, port})) return kApiServer;
  return holder_of(asked, address, protocol, port);
}

std::optional<std::string> FrontendGuard::node_port_refusal(rules::Protocol protocol, std::uint16_t port,
                                                            const std::optional<Address>& address) const {
  for (const HeldPort& held : node_.ports) {
    const bool apart = address && held.address && *address != *held.address;
    if (held.protocol == protocol && held.port == port && !apart) return fmt::format("{} has that port", held.holder);
  }
  for (const auto& [where, its_protocol, its_port] : api_server_)
    if (its_protocol == protocol && its_port == port && is_own(Asked::kExternalIp, where) &&
        (!address || *address == where))
      return kApiServer;
  return std::nullopt;
}

}  // namespace kubenatd::agent::state
