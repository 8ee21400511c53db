#include <fmt/format.h>

#include <algorithm>

#include "agent/base/printable.h"
#include "agent/explain/diagnose.h"
#include "agent/state/service_state.h"

namespace kubenatd::agent::explain {
namespace {

using Target = Subject::Kind;
using Weight = Finding::Weight;

constexpr std::size_t kMostDetails = 10;
constexpr std::size_t kShown = 200;

void add(Answer& answer, Weight weight, std::string code, std::string text, std::vector<std::string> details = {}) {
  if (details.size() > kMostDetails) {
    const std::size_t more = details.size() - kMostDetails;
    details.resize(kMostDetails);
    details.push_back(fmt::format("and {} more", more));
  }
  answer.findings.push_back(
      {.weight = weight, .code = std::move(code), .text = std::move(text), .details = std::move(details)});
}

std::string why_not_ready(const objects::Pod& pod) {
  switch (pod.phase) {
    case objects::Pod::Phase::kPending: return "its phase is Pending";
    case objects::Pod::Phase::kSucceeded: return "it has ended (Succeeded)";
    case objects::Pod::Phase::kFailed: return "it has ended (Failed)";
    case objects::Pod::Phase::kRunning:
    case objects::Pod::Phase::kUnknown: break;
  }
  if (pod.terminating) return "it is being deleted";
  if (pod.addresses.empty()) return "it has no address yet";
  if (!pod.ready) return "its condition Ready is not True";
  return {};
}

/// Endpoints or pods that could serve, and why each does not.
std::vector<std::string> unready(const ExplainContext& context, const Identity& identity) {
  std::vector<std::string> lines;
  for (const objects::Pod* pod : context.inventory.pods_of(*identity.service))
    if (const std::string why = why_not_ready(*pod); !why.empty())
      lines.push_back(fmt::format("pod {}: {}", pod->key.to_string(), why));
  if (!lines.empty()) return lines;
  for (const rules::Endpoint& endpoint : identity.view->endpoints)
    if (!endpoint.is_ready)
      lines.push_back(fmt::format("endpoint {}: {}", rules::join_host_port(endpoint.address, endpoint.port),
                                  endpoint.is_serving ? "it is being deleted" : "it is not ready"));
  return lines;
}

std::string selector_text(const objects::Labels& selector) {
  std::string text;
  for (const auto& [key, value] : selector)
    text += (text.empty() ? "" : ",") + base::one_line(key, kShown) + "=" + base::one_line(value, kShown);
  return text;
}

/// Ports that slices or pods have, when none of them is the one that the Service's port asks for.
std::vector<std::string> port_mismatch(const ExplainContext& context, const Identity& identity) {
  std::vector<std::string> lines;
  for (const objects::EndpointSlice* slice : context.inventory.slices_of(identity.service->key)) {
    if (slice->endpoints.empty()) continue;
    for (const objects::SlicePort& port : slice->ports) {
      if (port.name == identity.port->name && port.protocol == identity.port->protocol) return {};
      lines.push_back(fmt::format("EndpointSlice {} has port {} {}/{}", slice->key.to_string(),
                                  base::in_quotes(port.name), port.port, name_of(port.protocol)));
    }
  }
  if (!lines.empty()) return lines;
  for (const objects::Pod* pod : context.inventory.pods_of(*identity.service)) {
    for (const objects::ContainerPort& port : pod->ports) {
      if (port.name == identity.port->target_port) return {};
      lines.push_back(fmt::format("pod {} has container port {} {}/{}", pod->key.to_string(),
                                  base::in_quotes(port.name), port.container_port, name_of(port.protocol)));
    }
  }
  const std::string& target = identity.port->target_port;
  const bool named = std::ranges::any_of(target, [](char c) { return c < '0' || c > '9'; });
  return named ? lines : std::vector<std::string>{};
}

/// Nobody to give the connection to at all.
void diagnose_no_endpoint(const ExplainContext& context, const Identity& identity, Answer& answer) {
  const std::string& name = identity.view->name;
  if (identity.service == nullptr) return;
  const objects::Service& service = *identity.service;
  const auto slices = context.inventory.slices_of(service.key);
  const bool any_endpoint =
      std::ranges::any_of(slices, [](const objects::EndpointSlice* slice) { return !slice->endpoints.empty(); });
  if (!any_endpoint && !service.selector.empty() && context.inventory.pods_of(service).empty()) {
    add(answer, Weight::kProblem, "selector-matches-nothing",
        fmt::format("no pod in namespace {} has the labels {}, which {} selects", service.key.ns,
                    selector_text(service.selector), service.key.to_string()));
    return;
  }
  if (identity.port != nullptr) {
    if (auto lines = port_mismatch(context, identity); !lines.empty()) {
      add(answer, Weight::kProblem, "port-name-mismatch",
          fmt::format("no endpoint of {} has a port for its port {} (targetPort {})", service.key.to_string(),
                      base::in_quotes(identity.port->name), base::in_quotes(identity.port->target_port)),
          std::move(lines));
      return;
    }
  }
  add(answer, Weight::kProblem, "no-ready-endpoint", fmt::format("{} has no ready endpoint", name),
      unready(context, identity));
}

void diagnose_service(const ExplainContext& context, const Identity& identity, Answer& answer) {
  const rules::ServicePortView& view = *identity.view;
  const bool internal = identity.subject.kind == Target::kClusterIp;
  const bool from_outside = answer.packet.origin == rules::former_walk::Packet::Origin::kArriving &&
                            context.inventory.pod_with(answer.packet.source) == nullptr;
  const bool only_local = internal ? view.internal_policy_local : view.external_policy_local && from_outside;
  const auto usable = [&](const rules::Endpoint& endpoint) {
    return only_local ? endpoint.for_local : endpoint.for_cluster;
  };
  if (std::ranges::none_of(view.endpoints, usable)) {
    const auto elsewhere = [](const rules::Endpoint& one) { return !one.is_local && one.is_ready; };
    if (only_local && std::ranges::any_of(view.endpoints, elsewhere)) {
      std::vector<std::string> lines;
      for (const rules::Endpoint& endpoint : view.endpoints)
        if (elsewhere(endpoint)) lines.push_back(rules::join_host_port(endpoint.address, endpoint.port));
      add(answer, Weight::kProblem, "local-policy-without-local-endpoint",
          fmt::format("{}TrafficPolicy of {} is Local, and its ready endpoints are all on other nodes",
                      internal ? "internal" : "external", view.name),
          std::move(lines));
    } else {
      diagnose_no_endpoint(context, identity, answer);
    }
  } else if (identity.service != nullptr) {
    auto lines = unready(context, identity);
    if (!lines.empty())
      add(answer, Weight::kRemark, "some-endpoints-not-ready",
          fmt::format("{} has endpoints that get nothing", view.name), std::move(lines));
  }
  const auto contains = [&](const rules::Prefix& range) { return range.contains(answer.packet.source); };
  if (identity.subject.kind == Target::kLoadBalancerIp && !view.source_ranges.empty() &&
      std::ranges::none_of(view.source_ranges, contains)) {
    std::vector<std::string> lines;
    for (const rules::Prefix& range : view.source_ranges) lines.push_back(range.to_string());
    add(answer, Weight::kProblem, "source-not-in-ranges",
        fmt::format("{} is in none of the loadBalancerSourceRanges of {}", answer.packet.source.to_string(), view.name),
        std::move(lines));
  }
}

void diagnose_near(const Identity& identity, Answer& answer) {
  const objects::Service& service = *identity.near;
  const std::string name = service.key.to_string();
  if (!state::is_proxied(service)) {
    add(answer, Weight::kProblem, "service-without-rules",
        fmt::format("no rules are made for Service {}: it is {}", name,
                    service.foreign_proxy
                        ? "left to another proxy by its label service.kubernetes.io/service-proxy-name"
                        : "headless or of type ExternalName"));
    return;
  }
  std::vector<std::string> lines;
  for (const objects::ServicePort& port : service.ports)
    lines.push_back(
        fmt::format("{}/{}{}{}", port.port, name_of(port.protocol), port.name.empty() ? "" : " ", port.name));
  add(answer, Weight::kProblem, "port-not-in-service",
      fmt::format("the address belongs to Service {}, which has no port {}/{}", name, answer.packet.destination_port,
                  name_of(answer.packet.protocol)),
      std::move(lines));
}

void diagnose_host_port(const ExplainContext& context, const Identity& identity, Answer& answer) {
  const auto& packet = answer.packet;
  std::vector<std::string> others;
  for (const objects::Pod* pod : context.inventory.all<objects::Pod>())
    if (pod != identity.pod &&
        claims(*pod, context.node_name, packet.destination, packet.destination_port, packet.protocol))
      others.push_back("pod " + pod->key.to_string());
  if (!others.empty())
    add(answer, Weight::kProblem, "host-port-claimed-twice",
        fmt::format("hostPort {} of pod {} is claimed by another pod of this node, too; only one can have it",
                    packet.destination_port, identity.subject.name),
        std::move(others));
  const bool served = std::ranges::any_of(answer.ends, &PathEnd::destination_changed);
  if (!served)
    add(answer, Weight::kProblem, "host-port-withheld",
        fmt::format(
            "hostPort {} of pod {} has no rule here: it is withheld, or nobody on this node makes hostPort rules",
            packet.destination_port, identity.subject.name));
  if (const std::string why = why_not_ready(*identity.pod); !why.empty())
    add(answer, Weight::kRemark, "pod-not-ready", fmt::format("pod {}: {}", identity.subject.name, why));
}

}  // namespace

void diagnose_objects(const ExplainContext& context, const Identity& identity, Answer& answer) {
  if (context.inventory.empty()) return;
  if (identity.view != nullptr) return diagnose_service(context, identity, answer);
  if (identity.near != nullptr) return diagnose_near(identity, answer);
  if (identity.subject.kind == Target::kHostPort) return diagnose_host_port(context, identity, answer);
  const bool changed = std::ranges::any_of(answer.ends, &PathEnd::destination_changed);
  if (identity.subject.kind == Target::kNone && !changed)
    add(answer, Weight::kProblem, "address-not-a-service",
        fmt::format("{} is no address of a Service, a pod or this node", answer.packet.destination.to_string()));
  if (identity.subject.kind == Target::kNode && !changed)
    add(answer, Weight::kRemark, "port-not-served",
        fmt::format("port {}/{} of this node is neither a NodePort nor a hostPort", answer.packet.destination_port,
                    name_of(answer.packet.protocol)));
}

}  // namespace kubenatd::agent::explain
