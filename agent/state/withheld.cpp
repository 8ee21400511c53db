#include "agent/state/withheld.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

namespace kubenatd::agent::state {
namespace {

using Asked = FrontendGuard::Asked;
using Addresses = std::vector<rules::Address>;

/// Addresses that are asked of the guard, where a Service names them and where a view has them.
struct OutsideAddresses {
  Asked asked;
  std::string_view name;
  Addresses objects::Service::*of_service;
  Addresses rules::ServicePortView::*of_view;
};
constexpr OutsideAddresses kOutside[] = {
    {Asked::kExternalIp, "external IP", &objects::Service::external_ips, &rules::ServicePortView::external_ips},
    {Asked::kLoadBalancerIp, "load balancer IP", &objects::Service::load_balancer_ips,
     &rules::ServicePortView::load_balancer_ips},
};

bool has(const Addresses& addresses, const rules::Address& address) {
  return std::ranges::find(addresses, address) != addresses.end();
}

}  // namespace

void withhold(const FrontendGuard& guard, const objects::ObjectKey& service, rules::ServicePortView& view,
              LeftOut& left_out) {
  const auto is_refused = [&](Asked asked, std::string_view what, const rules::Address& address) {
    const auto why = guard.refusal(service, asked, address, view.protocol, view.port);
    if (why)
      left_out.add(1, [&] {
        return fmt::format("{} {}/{} is left out: {}", what, rules::join_host_port(address, view.port),
                           name_of(view.protocol), *why);
      });
    return why.has_value();
  };
  const auto port_is_refused = [&](std::string_view what, rules::Protocol protocol, std::uint16_t port) {
    const auto why = port == 0 ? std::nullopt : guard.node_port_refusal(protocol, port);
    if (why)
      left_out.add(1, [&] { return fmt::format("{} {}/{} is left out: {}", what, port, name_of(protocol), *why); });
    return why.has_value();
  };
  if (has_cluster_ip(view) && is_refused(Asked::kClusterIp, "cluster IP", view.cluster_ip)) {
    view.cluster_ip = {.family = view.cluster_ip.family};
    view.internal_policy_local = false;
  }
  for (const OutsideAddresses& outside : kOutside)
    std::erase_if(view.*outside.of_view,
                  [&](const rules::Address& address) { return is_refused(outside.asked, outside.name, address); });
  if (port_is_refused("NodePort", view.protocol, view.node_port)) view.node_port = 0;
  if (port_is_refused("healthCheckNodePort", rules::Protocol::kTcp, view.health_check_node_port))
    view.health_check_node_port = 0;
}

std::optional<std::string> why_withheld(const FrontendGuard& guard, const objects::Service& service,
                                        const rules::Frontend& frontend) {
  const auto asks = [&](std::uint16_t objects::ServicePort::*number) {
    return std::ranges::any_of(service.ports, [&](const objects::ServicePort& port) {
      return port.protocol == frontend.protocol && port.*number != 0 && port.*number == frontend.port;
    });
  };
  if (!frontend.address)
    return asks(&objects::ServicePort::node_port) ? guard.node_port_refusal(frontend.protocol, frontend.port)
                                                  : std::nullopt;
  if (!asks(&objects::ServicePort::port)) return std::nullopt;
  const auto refusal = [&](Asked asked, const Addresses& asked_for) -> std::optional<std::string> {
    if (!has(asked_for, *frontend.address)) return std::nullopt;
    return guard.refusal(service.key, asked, *frontend.address, frontend.protocol, frontend.port);
  };
  auto why = refusal(Asked::kClusterIp, service.cluster_ips);
  for (const OutsideAddresses& outside : kOutside)
    if (!why) why = refusal(outside.asked, service.*outside.of_service);
  return why;
}

}  // namespace kubenatd::agent::state
