#include "agent/seen/services.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <tuple>
#include <utility>

#include "rules/frontend.h"
#include "rules/iptables/names.h"

namespace kubenatd::agent::seen {
namespace {

using objects::Service;

/// Endpoints of a service port that a document lists.
constexpr std::size_t kMostEndpoints = 1000;

std::string_view word_of(Service::Type type) {
  switch (type) {
    case Service::Type::kClusterIp: return "ClusterIP";
    case Service::Type::kNodePort: return "NodePort";
    case Service::Type::kLoadBalancer: return "LoadBalancer";
    case Service::Type::kExternalName: return "ExternalName";
  }
  return "";
}

std::string why_not_served(const Service& service) {
  if (service.headless) return "headless: clients have its endpoints from DNS";
  if (service.type == Service::Type::kExternalName) return "ExternalName: a name in DNS";
  if (service.foreign_proxy) return "left to another proxy by its label service.kubernetes.io/service-proxy-name";
  if (state::families_of(service).empty()) return "it has no cluster IP";
  return {};
}

/// As kubectl writes ports.
std::string text_of(const objects::ServicePort& port) {
  std::string text = std::to_string(port.port);
  if (port.node_port != 0) text += fmt::format(":{}", port.node_port);
  std::string protocol(name_of(port.protocol));
  std::ranges::transform(protocol, protocol.begin(), [](char c) { return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c; });
  return text + "/" + protocol;
}

std::vector<std::string> texts_of(const std::vector<rules::Address>& addresses) {
  std::vector<std::string> texts;
  for (const rules::Address& address : addresses) texts.push_back(address.to_string());
  return texts;
}

/// A Service that matches, before its row is made.
struct Found {
  const Service* service = nullptr;
  base::WallTime changed{};
  std::vector<std::string> problems;
};

class Listing {
 public:
  Listing(const dataplane::Model& model, const ServiceRemarks& remarks, const ServicesQuery& query)
      : model_(model), remarks_(remarks), query_(query) {}

  ServicesPage page();

 private:
  [[nodiscard]] bool matches(const Service& service) const;
  [[nodiscard]] std::vector<std::string> problems_of(const Service& service) const;
  [[nodiscard]] bool in_use(rules::Family family) const {
    return family == rules::Family::kIpv4 || model_.environment().ipv6;
  }
  void sort(std::vector<Found>& found) const;
  [[nodiscard]] ServiceRow row_of(Found&& found) const;
  /// What is known only of the service ports in force: endpoints that are used, chains.
  void look_at_views(std::vector<ServiceRow>& rows) const;
  void add_drift(ServiceRow& row, const rules::ServicePortView& view) const;

  const dataplane::Model& model_;
  const ServiceRemarks& remarks_;
  const ServicesQuery& query_;
};

bool Listing::matches(const Service& service) const {
  if (!query_.ns.empty() && service.key.ns != query_.ns) return false;
  if (!query_.name.empty() && service.key.name != query_.name) return false;
  if (query_.search.empty()) return true;
  const std::string_view wanted = query_.search;
  if (service.key.to_string().contains(wanted)) return true;
  const auto has = [&](const std::vector<rules::Address>& addresses) {
    return std::ranges::any_of(addresses, [&](const auto& address) { return address.to_string().contains(wanted); });
  };
  return has(service.cluster_ips) || has(service.external_ips) || has(service.load_balancer_ips) ||
         std::ranges::any_of(service.ports, [&](const objects::ServicePort& port) {
           return port.name == wanted || std::to_string(port.port) == wanted ||
                  (port.node_port != 0 && std::to_string(port.node_port) == wanted);
         });
}

std::vector<std::string> Listing::problems_of(const Service& service) const {
  std::vector<std::string> problems;
  if (!why_not_served(service).empty()) return problems;
  for (const objects::ServicePort& port : service.ports) {
    const auto known = remarks_.problems.find(state::service_port_name(service.key, port.name));
    if (known == remarks_.problems.end()) continue;
    for (const std::string& problem : known->second)
      if (std::ranges::find(problems, problem) == problems.end()) problems.push_back(problem);
  }
  bool any_ready = false;
  for (const rules::Family family : state::families_of(service))
    any_ready = any_ready || !in_use(family) || model_.state().count_endpoints(service.key, family).ready != 0;
  if (!any_ready) problems.emplace_back("no ready endpoint");
  return problems;
}

void Listing::sort(std::vector<Found>& found) const {
  const auto by_name = [](const Found& a, const Found& b) { return a.service->key < b.service->key; };
  switch (query_.order) {
    case ServicesQuery::Order::kName: std::ranges::sort(found, by_name); return;
    case ServicesQuery::Order::kChanged:
      std::ranges::sort(found, [&](const Found& a, const Found& b) {
        return a.changed != b.changed ? a.changed > b.changed : by_name(a, b);
      });
      return;
    case ServicesQuery::Order::kProblems:
      std::ranges::sort(found, [&](const Found& a, const Found& b) {
        return a.problems.empty() != b.problems.empty() ? b.problems.empty() : by_name(a, b);
      });
      return;
  }
}

ServiceRow Listing::row_of(Found&& found) const {
  const Service& service = *found.service;
  ServiceRow row{.ns = service.key.ns,
                 .name = service.key.name,
                 .type = std::string(word_of(service.type)),
                 .addresses = service.headless ? std::vector<std::string>{"None"} : texts_of(service.cluster_ips),
                 .external = texts_of(service.external_ips),
                 .ports = {},
                 .endpoints = {},
                 .not_served = why_not_served(service),
                 .changed = {},
                 .drift = 0,
                 .last_drift = {},
                 .new_connections = {},
                 .problems = std::move(found.problems),
                 .detail = {}};
  std::ranges::move(texts_of(service.load_balancer_ips), std::back_inserter(row.external));
  for (const objects::ServicePort& port : service.ports) {
    row.ports.push_back(text_of(port));
    row.port_names.emplace_back(port.name, port.protocol);
  }
  for (const rules::Family family : state::families_of(service)) {
    const auto counts = model_.state().count_endpoints(service.key, family);
    row.endpoints.push_back({std::string(name_of(family)), counts.ready, counts.all});
  }
  if (remarks_.first_sync && found.changed > *remarks_.first_sync) row.changed = base::to_rfc3339(found.changed);
  return row;
}

void Listing::add_drift(ServiceRow& row, const rules::ServicePortView& view) const {
  const auto add = [&](const rules::ChainName& chain) {
    const auto healed = remarks_.chain_drift.find(chain.view());
    if (healed == remarks_.chain_drift.end()) return;
    row.drift += healed->second.times;
    if (!row.last_drift || *row.last_drift < healed->second.last) row.last_drift = healed->second.last;
  };
  const rules::iptables::ServicePortNames names(view);
  for (const rules::ChainName& chain : {names.cluster, names.local, names.external, names.firewall}) add(chain);
  for (const rules::Endpoint& endpoint : view.endpoints)
    add(rules::iptables::endpoint_chain(view.name, view.protocol, endpoint));
}

PortRow detail_of(const rules::ServicePortView& view) {
  PortRow row;
  if (const auto colon = view.name.find(':'); colon != std::string::npos) row.name = view.name.substr(colon + 1);
  row.family = name_of(view.cluster_ip.family);
  for (const rules::Frontend& frontend : rules::frontends_of(view)) row.frontends.push_back(rules::to_text(frontend));
  for (const rules::Endpoint& endpoint : view.endpoints) {
    if (row.endpoints.size() == kMostEndpoints) {
      row.more_endpoints = view.endpoints.size() - kMostEndpoints;
      break;
    }
    const std::string_view used = endpoint.for_cluster && endpoint.for_local ? "all"
                                  : endpoint.for_cluster                     ? "cluster"
                                  : endpoint.for_local                       ? "local"
                                                                             : "";
    row.endpoints.push_back({.address = rules::join_host_port(endpoint.address, endpoint.port),
                             .ready = endpoint.is_ready,
                             .serving = endpoint.is_serving,
                             .here = endpoint.is_local,
                             .used_by = std::string(used)});
  }
  return row;
}

void Listing::look_at_views(std::vector<ServiceRow>& rows) const {
  if (!query_.detail && remarks_.chain_drift.empty()) return;
  std::map<std::string, ServiceRow*, std::less<>> by_name;
  for (ServiceRow& row : rows) by_name.emplace(row.ns + "/" + row.name, &row);
  for (const rules::Family family : rules::kFamilies) {
    if (!in_use(family)) continue;
    model_.dataplane(family).for_each_view([&](const rules::ServicePortView& view) {
      const auto row = by_name.find(std::string_view(view.name).substr(0, view.name.find(':')));
      if (row == by_name.end()) return;
      if (!remarks_.chain_drift.empty()) add_drift(*row->second, view);
      if (query_.detail) row->second->detail.push_back(detail_of(view));
    });
  }
  for (ServiceRow& row : rows)
    std::ranges::sort(row.detail, {}, [](const PortRow& port) { return std::tie(port.family, port.name); });
}

ServicesPage Listing::page() {
  std::vector<Found> found;
  const bool needs_problems = query_.problems_only || query_.order == ServicesQuery::Order::kProblems;
  model_.state().for_each_service([&](const Service& service, base::WallTime changed) {
    if (!matches(service)) return;
    Found one{&service, changed, {}};
    if (needs_problems) one.problems = problems_of(service);
    if (query_.problems_only && one.problems.empty()) return;
    found.push_back(std::move(one));
  });
  sort(found);
  ServicesPage page{.schema = kServicesSchema,
                    .services = model_.state().services(),
                    .matching = found.size(),
                    .offset = std::min(query_.offset, found.size()),
                    .rows = {}};
  const std::size_t end = page.offset + std::min({query_.limit, ServicesQuery::kMostRows, found.size() - page.offset});
  for (std::size_t i = page.offset; i < end; ++i) {
    if (!needs_problems) found[i].problems = problems_of(*found[i].service);
    page.rows.push_back(row_of(std::move(found[i])));
  }
  look_at_views(page.rows);
  return page;
}

}  // namespace

ServicesPage list_services(const dataplane::Model& model, const ServiceRemarks& remarks, const ServicesQuery& query) {
  return Listing(model, remarks, query).page();
}

}  // namespace kubenatd::agent::seen
