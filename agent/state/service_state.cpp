#include "agent/state/service_state.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <utility>

namespace kubenatd::agent::state {
namespace {

using rules::Family;

template <class T>
std::vector<T> of_family(const std::vector<T>& all, Family family) {
  std::vector<T> found;
  for (const T& one : all) {
    if constexpr (std::is_same_v<T, rules::Prefix>) {
      if (one.address.family == family) found.push_back(one);
    } else {
      if (one.family == family) found.push_back(one);
    }
  }
  return found;
}

/// The object as what it is, sharing its memory.
template <class T>
std::shared_ptr<const T> part_of(const objects::ObjectPtr& object) {
  if (object == nullptr) return nullptr;
  return {object, &std::get<T>(*object)};
}

/// The cluster IP of that family, unspecified when the Service has none yet in any; none: no rules in this family.
std::optional<rules::Address> cluster_ip_of(const objects::Service& service, Family family) {
  const auto found = std::ranges::find(service.cluster_ips, family, &rules::Address::family);
  if (found != service.cluster_ips.end()) return *found;
  const bool asked_for = std::ranges::find(service.ip_families, family) != service.ip_families.end();
  if (!service.cluster_ips.empty() || !asked_for) return std::nullopt;
  return rules::Address{.family = family};
}

/// Endpoints of one port of a Service out of its slices. The same address and port in several slices is one endpoint: a
/// later one replaces an earlier one unless it is terminating.
std::vector<Candidate> candidates_of(const std::vector<std::shared_ptr<const objects::EndpointSlice>>& slices,
                                     Family family, const objects::ServicePort& port, const std::string& node_name) {
  std::vector<Candidate> found;
  std::map<std::pair<rules::Address, std::uint16_t>, std::size_t> places;
  for (const auto& slice_ptr : slices) {
    const objects::EndpointSlice& slice = *slice_ptr;
    if (slice.family != family) continue;
    for (const objects::SlicePort& slice_port : slice.ports) {
      if (slice_port.name != port.name || slice_port.protocol != port.protocol || slice_port.port == 0) continue;
      for (const objects::SliceEndpoint& endpoint : slice.endpoints) {
        const Candidate candidate{.address = endpoint.address,
                                  .port = slice_port.port,
                                  .is_local = !endpoint.node_name.empty() && endpoint.node_name == node_name,
                                  .ready = endpoint.ready,
                                  .serving = endpoint.serving,
                                  .terminating = endpoint.terminating,
                                  .zone_hints = &endpoint.zone_hints,
                                  .node_hints = &endpoint.node_hints};
        const auto [place, is_new] = places.try_emplace({candidate.address, candidate.port}, found.size());
        if (is_new) {
          found.push_back(candidate);
        } else if (!candidate.terminating) {
          found[place->second] = candidate;
        }
      }
    }
  }
  return found;
}

rules::ServicePortView view_of(const objects::ObjectKey& key, const objects::Service& service,
                               const objects::ServicePort& port, const rules::Address& cluster_ip) {
  const Family family = cluster_ip.family;
  rules::ServicePortView view;
  view.name = service_port_name(key, port.name);
  view.protocol = port.protocol;
  view.cluster_ip = cluster_ip;
  view.port = port.port;
  view.node_port = port.node_port;
  view.health_check_node_port = service.health_check_node_port;
  view.internal_policy_local = service.internal_policy_local && has_cluster_ip(view);
  view.external_policy_local = service.external_policy_local;
  view.affinity_seconds = service.affinity_seconds;
  view.external_ips = of_family(service.external_ips, family);
  view.load_balancer_ips = of_family(service.load_balancer_ips, family);
  view.source_ranges = of_family(service.source_ranges, family);
  return view;
}

void count_no_local(const rules::ServicePortView& view, ServiceState::NoLocalEndpoints& counts) {
  if (!view.has_endpoints || std::ranges::any_of(view.endpoints, [](const auto& one) { return one.for_local; })) return;
  counts.internal += view.internal_policy_local ? 1 : 0;
  counts.external += view.external_policy_local ? 1 : 0;
}

}  // namespace

std::string service_port_name(const objects::ObjectKey& service, const std::string& port) {
  std::string name = service.ns + "/" + service.name;
  if (!port.empty()) name += ":" + port;
  return name;
}

bool is_proxied(const objects::Service& service) {
  return !service.headless && !service.foreign_proxy && service.type != objects::Service::Type::kExternalName;
}

std::vector<rules::Family> families_of(const objects::Service& service) {
  if (service.cluster_ips.empty()) return service.ip_families;
  std::vector<rules::Family> families;
  for (const rules::Address& address : service.cluster_ips) families.push_back(address.family);
  return families;
}

ServiceState::ServiceState(std::string node_name) {
  topology_.node_name = std::move(node_name);
}

void ServiceState::apply(objects::ObjectEvent event) {
  switch (event.kind) {
    case objects::Kind::kService: apply_service(std::move(event)); break;
    case objects::Kind::kEndpointSlice: apply_slice(std::move(event)); break;
    case objects::Kind::kNode: apply_node(std::move(event)); break;
    case objects::Kind::kServiceCidr: apply_service_cidr(event); break;
    // Endpoints, of Pods or of the older form, reach us as EndpointSlices; Ingresses and routes are a matter of the
    // controllers behind the chains.
    case objects::Kind::kPod:
    case objects::Kind::kEndpoints:
    case objects::Kind::kIngress:
    case objects::Kind::kIngressClass:
    case objects::Kind::kGatewayClass:
    case objects::Kind::kGateway:
    case objects::Kind::kHttpRoute: break;
  }
}

void ServiceState::apply_service(objects::ObjectEvent&& event) {
  Entry& entry = entries_[event.key];
  services_ -= entry.service ? 1 : 0;
  entry.service = part_of<objects::Service>(event.object);
  services_ += entry.service ? 1 : 0;
  changed_.insert(std::move(event.key));
}

void ServiceState::remove_slice(const objects::ObjectKey& slice, const objects::ObjectKey& service) {
  const auto found = entries_.find(service);
  if (found == entries_.end()) return;
  std::erase_if(found->second.slices, [&](const SlicePtr& one) { return one->key == slice; });
  changed_.insert(service);
}

void ServiceState::apply_slice(objects::ObjectEvent&& event) {
  const SlicePtr slice = part_of<objects::EndpointSlice>(event.object);
  const std::string service_name = slice ? slice->service : std::string();
  const auto owner = slice_owner_.find(event.key);
  if (owner != slice_owner_.end() && owner->second != service_name) {
    remove_slice(event.key, {event.key.ns, owner->second});
    slice_owner_.erase(owner);
  }
  if (service_name.empty()) return;

  const objects::ObjectKey service{event.key.ns, service_name};
  slice_owner_[event.key] = service_name;
  auto& slices = entries_[service].slices;
  const auto key_of = [](const SlicePtr& one) -> const objects::ObjectKey& { return one->key; };
  const auto place = std::ranges::lower_bound(slices, event.key, {}, key_of);
  if (place != slices.end() && (*place)->key == event.key) {
    *place = slice;
  } else {
    slices.insert(place, slice);
  }
  changed_.insert(service);
}

void ServiceState::apply_node(objects::ObjectEvent&& event) {
  if (event.key.name != topology_.node_name) return;
  std::string zone;
  if (event.object) {
    node_ = std::get<objects::Node>(*event.object);
    zone = node_->zone;
  } else {
    node_.reset();
  }
  if (zone == topology_.zone) return;
  topology_.zone = std::move(zone);
  for (const auto& [key, entry] : entries_) changed_.insert(key);
}

void ServiceState::apply_service_cidr(const objects::ObjectEvent& event) {
  if (event.object) {
    service_cidrs_[event.key] = std::get<objects::ServiceCidr>(*event.object).cidrs;
  } else {
    service_cidrs_.erase(event.key);
  }
}

std::vector<rules::Prefix> ServiceState::service_cidrs(rules::Family family) const {
  std::vector<rules::Prefix> found;
  for (const auto& [key, cidrs] : service_cidrs_)
    std::ranges::copy_if(cidrs, std::back_inserter(found),
                         [&](const rules::Prefix& prefix) { return prefix.address.family == family; });
  std::ranges::sort(found);
  found.erase(std::ranges::unique(found).begin(), found.end());
  return found;
}

void ServiceState::for_each_service(const VisitService& visit) const {
  for (const auto& [key, entry] : entries_)
    if (entry.service) visit(*entry.service, entry.changed);
}

ServiceState::EndpointCounts ServiceState::count_endpoints(const objects::ObjectKey& service, Family family) const {
  const auto found = entries_.find(service);
  if (found == entries_.end()) return {};
  std::map<rules::Address, bool> ready;  // an address that moves to another slice stands in both for a while
  for (const SlicePtr& slice : found->second.slices) {
    if (slice->family != family) continue;
    for (const objects::SliceEndpoint& endpoint : slice->endpoints) {
      bool& is_ready = ready[endpoint.address];
      is_ready = is_ready || endpoint.ready;
    }
  }
  const auto good = std::ranges::count_if(ready, [](const auto& one) { return one.second; });
  return {.ready = static_cast<std::size_t>(good), .all = ready.size()};
}

std::vector<ViewChange> ServiceState::take_changes() {
  std::vector<ViewChange> changes;
  // Sorted, so that equal histories give equal orders; the set is small except at start.
  std::vector<objects::ObjectKey> keys(changed_.begin(), changed_.end());
  changed_.clear();
  std::ranges::sort(keys);
  const base::WallTime now = std::chrono::system_clock::now();
  for (const objects::ObjectKey& key : keys) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) continue;
    Entry& entry = found->second;
    entry.changed = now;
    recompute(key, entry, changes);
    recompute_health_check(key, entry);
    if (!entry.service && entry.slices.empty()) entries_.erase(found);
  }
  return changes;
}

void ServiceState::recompute(const objects::ObjectKey& key, Entry& entry, std::vector<ViewChange>& out) {
  for (const Family family : rules::kFamilies) {
    const auto index = static_cast<std::size_t>(family);
    known_endpoints_[index] -= entry.endpoints[index];
    no_local_endpoints_[index].internal -= entry.no_local_endpoints[index].internal;
    no_local_endpoints_[index].external -= entry.no_local_endpoints[index].external;
    entry.no_local_endpoints[index] = {};
    entry.endpoints[index] = recompute_family(key, entry, family, out);
    known_endpoints_[index] += entry.endpoints[index];
    no_local_endpoints_[index].internal += entry.no_local_endpoints[index].internal;
    no_local_endpoints_[index].external += entry.no_local_endpoints[index].external;
  }
}

std::size_t ServiceState::recompute_family(const objects::ObjectKey& key, Entry& entry, Family family,
                                           std::vector<ViewChange>& out) {
  std::size_t endpoints = 0;
  auto& shown = entry.shown[static_cast<std::size_t>(family)];
  std::vector<PortKey> before = std::move(shown);
  shown.clear();

  const auto cluster_ip =
      entry.service && is_proxied(*entry.service) ? cluster_ip_of(*entry.service, family) : std::nullopt;
  if (cluster_ip) {
    for (const objects::ServicePort& port : entry.service->ports) {
      PortKey port_key{port.name, port.protocol};
      if (std::ranges::find(shown, port_key) != shown.end()) continue;  // the API forbids it; the first one counts
      ViewChange change{.family = family,
                        .name = {},
                        .protocol = port.protocol,
                        .view = view_of(key, *entry.service, port, *cluster_ip)};
      if (!has_cluster_ip(*change.view) && !externally_accessible(*change.view)) continue;  // nothing leads to it
      change.name = change.view->name;
      choose_endpoints(*change.view, candidates_of(entry.slices, family, port, topology_.node_name), topology_);
      endpoints += change.view->endpoints.size();
      count_no_local(*change.view, entry.no_local_endpoints[static_cast<std::size_t>(family)]);
      out.push_back(std::move(change));
      shown.push_back(std::move(port_key));
    }
  }
  for (const PortKey& gone : before) {
    if (std::ranges::find(shown, gone) != shown.end()) continue;
    out.push_back(
        {.family = family, .name = service_port_name(key, gone.name), .protocol = gone.protocol, .view = std::nullopt});
  }
  return endpoints;
}

std::optional<HealthCheck> ServiceState::health_check_of(const Entry& entry) const {
  if (!entry.service || !is_proxied(*entry.service) || entry.service->health_check_node_port == 0) return std::nullopt;
  std::set<rules::Address> local;
  for (const SlicePtr& slice : entry.slices)
    for (const objects::SliceEndpoint& endpoint : slice->endpoints)
      if (endpoint.ready && !endpoint.node_name.empty() && endpoint.node_name == topology_.node_name)
        local.insert(endpoint.address);
  return HealthCheck{.port = entry.service->health_check_node_port, .local_endpoints = local.size()};
}

void ServiceState::recompute_health_check(const objects::ObjectKey& key, Entry& entry) {
  std::optional<HealthCheck> now = health_check_of(entry);
  if (now == entry.health_check) return;
  entry.health_check = now;
  health_check_changes_.insert_or_assign(key, now);
}

}  // namespace kubenatd::agent::state
