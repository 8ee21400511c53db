#include "agent/state/service_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "agent/state/slice_candidates.h"
#include "agent/state/withheld.h"

namespace kubenatd::agent::state {
namespace {

using rules::Family;

// Before the choice there may be more endpoints of a port than are used.
constexpr std::size_t kMostLookedAt = 4 * kMostEndpointsOfPort;

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

/// Leaves `most` endpoints, those of this node first, then those that are used. Returns how many went.
std::size_t trim(std::vector<rules::Endpoint>& endpoints, std::size_t most) {
  if (endpoints.size() <= most) return 0;
  const auto rank = [](const rules::Endpoint& one) {
    return (one.for_local ? 0 : 2) + (one.for_cluster || one.for_local || one.reachable ? 0 : 1);
  };
  std::vector<std::pair<int, std::size_t>> order;
  order.reserve(endpoints.size());
  for (std::size_t i = 0; i < endpoints.size(); ++i) order.emplace_back(rank(endpoints[i]), i);
  std::ranges::nth_element(order, order.begin() + static_cast<std::ptrdiff_t>(most));
  order.resize(most);
  // They stay in the order that they had.
  std::ranges::sort(order, {}, &std::pair<int, std::size_t>::second);
  std::vector<rules::Endpoint> left;
  left.reserve(most);
  for (const auto& [its_rank, place] : order) left.push_back(endpoints[place]);
  const std::size_t gone = endpoints.size() - most;
  endpoints = std::move(left);
  return gone;
}

/// What all ports of a Service have in one family.
struct Outside {
  std::vector<rules::Address> external_ips, load_balancer_ips;
  std::vector<rules::Prefix> source_ranges;
};

/// Leaves so many, and tells of the others.
void bound(std::vector<rules::Address>& addresses, std::size_t most, std::string_view what, LeftOut& left_out) {
  if (addresses.size() <= most) return;
  const std::size_t gone = addresses.size() - most;
  left_out.add(gone,
               [&] { return fmt::format("{} {} are left out: they are too many, {} are used", gone, what, most); });
  addresses.resize(most);
}

Outside outside_of(const objects::Service& service, Family family, LeftOut& left_out) {
  Outside outside{.external_ips = of_family(service.external_ips, family),
                  .load_balancer_ips = of_family(service.load_balancer_ips, family),
                  .source_ranges = of_family(service.source_ranges, family)};
  const std::size_t ports = std::max<std::size_t>(service.ports.size(), 1);
  const std::size_t most = std::min(kMostAddressesOfService, kMostFrontendsOfService / ports);
  bound(outside.external_ips, most, "external IPs", left_out);
  // Without some of its ranges a Service would be closed to those who may, and without all of them open to everybody.
  const std::size_t rules_of_one = std::max<std::size_t>(outside.source_ranges.size(), 1) * ports;
  bound(outside.load_balancer_ips, std::min(most, kMostRangesOfService / rules_of_one), "load balancer IPs", left_out);
  // They are copied for each port, and without an address there is nothing to restrict.
  if (outside.load_balancer_ips.empty()) outside.source_ranges.clear();
  return outside;
}

rules::ServicePortView view_of(const objects::ObjectKey& key, const objects::Service& service,
                               const objects::ServicePort& port, const rules::Address& cluster_ip,
                               const Outside& outside) {
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
  view.external_ips = outside.external_ips;
  view.load_balancer_ips = outside.load_balancer_ips;
  view.source_ranges = outside.source_ranges;
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
  if (event.key == api_server_service() && guard_.set_api_service(entry.service.get())) change_all();
  services_ += entry.service ? 1 : 0;
  changed_.insert(std::move(event.key));
}

void ServiceState::remove_slice(const objects::ObjectKey& slice, const objects::ObjectKey& service) {
  const auto found = entries_.find(service);
  if (found == entries_.end()) return;
  std::erase_if(found->second.slices, [&](const SlicePtr& one) { return one->key == slice; });
  changed_.insert(service);
  follow_api_server(service, found->second);
}

void ServiceState::follow_api_server(const objects::ObjectKey& service, const Entry& entry) {
  if (service == api_server_service() && guard_.set_api_server(entry.slices)) change_all();
}

void ServiceState::set_guarded(GuardedNode node) {
  if (guard_.set_node(std::move(node))) change_all();
}

void ServiceState::change_all() {
  guard_changed_ = true;
  for (const auto& [key, entry] : entries_) changed_.insert(key);
}

void ServiceState::apply_slice(objects::ObjectEvent&& event) {
  const SlicePtr slice = part_of<objects::EndpointSlice>(event.object);
  const auto known = slices_.find(event.key);
  if (known != slices_.end()) {
    const auto before = slices_.extract(known);
    const std::string& service = before.value()->service;
    if (!slice || slice->service != service) remove_slice(event.key, {event.key.ns, service});
  }
  if (!slice || slice->service.empty()) return;

  const objects::ObjectKey service{event.key.ns, slice->service};
  slices_.insert(slice);
  Entry& entry = entries_[service];
  auto& slices = entry.slices;
  const auto key_of = [](const SlicePtr& one) -> const objects::ObjectKey& { return one->key; };
  const auto place = std::ranges::lower_bound(slices, event.key, {}, key_of);
  if (place != slices.end() && (*place)->key == event.key) {
    *place = slice;
  } else {
    slices.insert(place, slice);
  }
  changed_.insert(service);
  follow_api_server(service, entry);
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
    if (!entry.service && entry.slices.empty()) entries_.erase(found);
  }
  return changes;
}

void ServiceState::recompute(const objects::ObjectKey& key, Entry& entry, std::vector<ViewChange>& out) {
  LeftOut left_out;
  for (const Family family : rules::kFamilies) {
    const auto index = static_cast<std::size_t>(family);
    known_endpoints_[index] -= entry.endpoints[index];
    no_local_endpoints_[index].internal -= entry.no_local_endpoints[index].internal;
    no_local_endpoints_[index].external -= entry.no_local_endpoints[index].external;
    entry.no_local_endpoints[index] = {};
    entry.endpoints[index] = recompute_family(key, entry, family, out, left_out);
    known_endpoints_[index] += entry.endpoints[index];
    no_local_endpoints_[index].internal += entry.no_local_endpoints[index].internal;
    no_local_endpoints_[index].external += entry.no_local_endpoints[index].external;
  }
  left_out_.set(key, std::move(left_out));
  const bool is_served = entry.service && is_proxied(*entry.service);
  health_checks_.set(
      key, is_served ? health_check_of(*entry.service, entry.slices, topology_.node_name, guard_) : std::nullopt);
}

std::size_t ServiceState::recompute_family(const objects::ObjectKey& key, Entry& entry, Family family,
                                           std::vector<ViewChange>& out, LeftOut& left_out) {
  std::size_t endpoints = 0;
  auto& shown = entry.shown[static_cast<std::size_t>(family)];
  std::vector<PortKey> before = std::move(shown);
  shown.clear();

  const auto cluster_ip =
      entry.service && is_proxied(*entry.service) ? cluster_ip_of(*entry.service, family) : std::nullopt;
  std::set<PortKey> present;
  if (cluster_ip) {
    const SlicePorts slice_ports(entry.slices, family);
    const Outside outside = outside_of(*entry.service, family, left_out);
    const std::size_t ports = std::max<std::size_t>(entry.service->ports.size(), 1);
    const std::size_t most = std::clamp<std::size_t>(kMostEndpointsOfService / ports, 1, kMostEndpointsOfPort);
    for (const objects::ServicePort& port : entry.service->ports) {
      PortKey port_key{port.name, port.protocol};
      if (!present.insert(port_key).second) continue;  // the API forbids it; the first one counts
      ViewChange change{.family = family,
                        .name = {},
                        .protocol = port.protocol,
                        .view = view_of(key, *entry.service, port, *cluster_ip, outside)};
      rules::ServicePortView& view = *change.view;
      withhold(guard_, key, view, left_out);
      if (!has_cluster_ip(view) && !externally_accessible(view)) {  // nothing leads to it
        present.erase(port_key);
        continue;
      }
      change.name = view.name;
      const Candidates candidates = candidates_of(slice_ports.of(port), topology_.node_name, kMostLookedAt);
      choose_endpoints(view, candidates.found, topology_);
      const std::size_t too_many = candidates.too_many + trim(view.endpoints, most);
      if (candidates.impossible != 0)
        left_out.add(candidates.impossible, [&] {
          return fmt::format("{} endpoints of port {} are left out: no pod can have their address",
                             candidates.impossible, port.port);
        });
      if (too_many != 0)
        left_out.add(too_many, [&] {
          return fmt::format(
              "{} endpoints of port {} are left out: {} are used of each port of a Service with {} ports", too_many,
              port.port, most, ports);
        });
      endpoints += view.endpoints.size();
      count_no_local(view, entry.no_local_endpoints[static_cast<std::size_t>(family)]);
      out.push_back(std::move(change));
      shown.push_back(std::move(port_key));
    }
  }
  for (const PortKey& gone : before) {
    if (present.contains(gone)) continue;
    out.push_back(
        {.family = family, .name = service_port_name(key, gone.name), .protocol = gone.protocol, .view = std::nullopt});
  }
  return endpoints;
}

}  // namespace kubenatd::agent::state
