#include "agent/sources/endpoint_deriver.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

namespace kubenatd::agent::sources {
namespace {

const objects::Service& service_of(const objects::ObjectPtr& object) {
  return std::get<objects::Service>(*object);
}

const objects::Pod& pod_of(const objects::ObjectPtr& object) {
  return std::get<objects::Pod>(*object);
}

bool gets_endpoints(const objects::Service& service) {
  return !service.selector.empty() && !service.headless && !service.foreign_proxy &&
         service.type != objects::Service::Type::kExternalName;
}

bool selects(const objects::Labels& selector, const objects::Labels& labels) {
  return std::all_of(selector.begin(), selector.end(), [&](const auto& wanted) {
    const auto found = labels.find(wanted.first);
    return found != labels.end() && found->second == wanted.second;
  });
}

std::vector<rules::Family> families_of(const objects::Service& service) {
  if (!service.ip_families.empty()) return service.ip_families;
  std::vector<rules::Family> families;
  for (const rules::Address& address : service.cluster_ips) families.push_back(address.family);
  return families;
}

/// The number behind a target port in this pod; none when the pod has no port of that name and protocol.
std::optional<std::uint16_t> find_port(const objects::ServicePort& port, const objects::Pod& pod) {
  if (port.target_port.empty()) return port.port;
  const std::string& target = port.target_port;
  std::uint16_t number = 0;
  const auto [end, failure] = std::from_chars(target.data(), target.data() + target.size(), number);
  if (failure == std::errc{} && end == target.data() + target.size()) return number;
  for (const objects::ContainerPort& container : pod.ports)
    if (container.name == target && container.protocol == port.protocol) return container.container_port;
  return std::nullopt;
}

std::vector<objects::SlicePort> ports_in(const objects::Service& service, const objects::Pod& pod) {
  std::vector<objects::SlicePort> ports;
  for (const objects::ServicePort& port : service.ports)
    if (const auto number = find_port(port, pod)) ports.push_back({port.name, *number, port.protocol});
  return ports;
}

/// "SERVICE~ipv4~8080,,9153": the numbers of the Service's ports by their places, nothing for a port that the pod
/// lacks, so that two sets of ports never share a name.
std::string slice_name(const objects::Service& service, rules::Family family,
                       const std::vector<objects::SlicePort>& ports) {
  std::string name = service.key.name + (family == rules::Family::kIpv4 ? "~ipv4~" : "~ipv6~");
  std::size_t next = 0;
  for (const objects::ServicePort& port : service.ports) {
    if (&port != service.ports.data()) name += ',';
    if (next < ports.size() && ports[next].name == port.name && ports[next].protocol == port.protocol)
      name += std::to_string(ports[next++].port);
  }
  return name;
}

void add_endpoint(const objects::Service& service, const objects::Pod& pod,
                  std::map<std::string, objects::EndpointSlice>& slices) {
  if (pod.phase == objects::Pod::Phase::kSucceeded || pod.phase == objects::Pod::Phase::kFailed) return;
  const std::vector<objects::SlicePort> ports = ports_in(service, pod);
  if (ports.empty()) return;
  for (const rules::Family family : families_of(service)) {
    const auto address = std::find_if(pod.addresses.begin(), pod.addresses.end(),
                                      [family](const rules::Address& other) { return other.family == family; });
    if (address == pod.addresses.end()) continue;
    std::string name = slice_name(service, family, ports);
    objects::EndpointSlice& slice = slices[name];
    if (slice.endpoints.empty()) {
      slice.key = {service.key.ns, std::move(name)};
      slice.service = service.key.name;
      slice.family = family;
      slice.ports = ports;
    }
    objects::SliceEndpoint endpoint;
    endpoint.address = *address;
    endpoint.ready = service.publish_not_ready || (pod.ready && !pod.terminating);
    endpoint.serving = pod.ready;
    endpoint.terminating = pod.terminating;
    endpoint.node_name = pod.node_name;
    slice.endpoints.push_back(std::move(endpoint));
  }
}

/// Finds the pods of many Services without comparing each with each: by the rarest label of the selector.
class PodIndex {
 public:
  explicit PodIndex(const std::map<std::string, objects::ObjectPtr, std::less<>>& pods) {
    for (const auto& [name, object] : pods)
      for (const auto& [label, value] : pod_of(object).labels) by_label_[{label, value}].push_back(&pod_of(object));
  }

  /// In the order of the pods' names; the caller still compares the whole selector.
  [[nodiscard]] const std::vector<const objects::Pod*>& candidates(const objects::Labels& selector) const {
    const std::vector<const objects::Pod*>* fewest = nullptr;
    for (const auto& [label, value] : selector) {
      const auto found = by_label_.find({label, value});
      if (found == by_label_.end()) return none_;
      if (fewest == nullptr || found->second.size() < fewest->size()) fewest = &found->second;
    }
    return fewest == nullptr ? none_ : *fewest;
  }

 private:
  std::map<std::pair<std::string_view, std::string_view>, std::vector<const objects::Pod*>> by_label_;
  std::vector<const objects::Pod*> none_;
};

/// What is different between two lists of slices, both sorted by name.
void compare(const std::vector<objects::EndpointSlice>& before, const std::vector<objects::EndpointSlice>& now,
             std::vector<objects::ObjectEvent>& events) {
  const auto by_name = [](const objects::EndpointSlice& slice, const std::string& name) {
    return slice.key.name < name;
  };
  for (const objects::EndpointSlice& slice : before) {
    const auto found = std::lower_bound(now.begin(), now.end(), slice.key.name, by_name);
    if (found == now.end() || found->key != slice.key)
      events.push_back({objects::Kind::kEndpointSlice, slice.key, nullptr});
  }
  for (const objects::EndpointSlice& slice : now) {
    const auto found = std::lower_bound(before.begin(), before.end(), slice.key.name, by_name);
    if (found == before.end() || *found != slice)
      events.push_back({objects::Kind::kEndpointSlice, slice.key, std::make_shared<const objects::Object>(slice)});
  }
}

}  // namespace

void EndpointDeriver::note(const ObjectChange& change) {
  if (change.id.kind == objects::Kind::kNode) return;
  Namespace& ns = namespaces_[change.id.key.ns];
  dirty_.insert(change.id.key.ns);
  switch (change.id.kind) {
    case objects::Kind::kService: return note_service(ns, change);
    case objects::Kind::kEndpointSlice: return note_slice(ns, change);
    case objects::Kind::kPod: return note_pod(ns, change);
    case objects::Kind::kServiceCidr:
    case objects::Kind::kIngress:
    case objects::Kind::kIngressClass:
    case objects::Kind::kGatewayClass:
    case objects::Kind::kGateway:
    case objects::Kind::kHttpRoute: break;
    case objects::Kind::kNode: return;
  }
}

void EndpointDeriver::note_service(Namespace& ns, const ObjectChange& change) {
  const std::string& name = change.id.key.name;
  const bool wanted = change.now && gets_endpoints(service_of(change.now));
  if (wanted)
    ns.services[name] = change.now;
  else if (ns.services.erase(name) == 0)
    return;
  ns.dirty_services.insert(name);
}

void EndpointDeriver::note_slice(Namespace& ns, const ObjectChange& change) {
  const std::string& name = change.id.key.name;
  if (const auto before = ns.slice_services.find(name); before != ns.slice_services.end()) {
    const auto count = ns.slice_counts.find(before->second);
    if (--count->second == 0) {
      ns.dirty_services.insert(before->second);
      ns.slice_counts.erase(count);
    }
    ns.slice_services.erase(before);
  }
  if (!change.now) return;
  const std::string& service = std::get<objects::EndpointSlice>(*change.now).service;
  if (service.empty()) return;
  ns.slice_services[name] = service;
  if (++ns.slice_counts[service] == 1) ns.dirty_services.insert(service);
}

void EndpointDeriver::note_pod(Namespace& ns, const ObjectChange& change) {
  const std::string& name = change.id.key.name;
  if (const auto before = ns.pods.find(name); before != ns.pods.end()) {
    ns.changed_pods.push_back(std::move(before->second));
    ns.pods.erase(before);
  }
  if (!change.now) return;
  ns.changed_pods.push_back(change.now);
  ns.pods[name] = change.now;
}

void EndpointDeriver::find_services_of_changed_pods(Namespace& ns) {
  // Above this the comparing costs more than deriving all anew.
  constexpr std::size_t kMostComparisons = 1'000'000;
  const bool all = ns.changed_pods.size() * ns.services.size() > kMostComparisons;
  for (const auto& [name, object] : ns.services) {
    if (ns.changed_pods.empty()) break;
    const objects::Labels& selector = service_of(object).selector;
    if (all || std::any_of(ns.changed_pods.begin(), ns.changed_pods.end(),
                           [&](const objects::ObjectPtr& pod) { return selects(selector, pod_of(pod).labels); }))
      ns.dirty_services.insert(name);
  }
  ns.changed_pods.clear();
}

void EndpointDeriver::derive_namespace(Namespace& ns, std::vector<objects::ObjectEvent>& events) {
  find_services_of_changed_pods(ns);
  constexpr std::size_t kIndexPays = 4;  // fewer Services look through the pods one by one
  std::optional<PodIndex> index;
  if (ns.dirty_services.size() > kIndexPays) index.emplace(ns.pods);

  for (const std::string& name : ns.dirty_services) {
    std::map<std::string, objects::EndpointSlice> slices;
    const auto found = ns.services.find(name);
    if (found != ns.services.end() && !ns.slice_counts.contains(name)) {
      const objects::Service& service = service_of(found->second);
      const auto consider = [&](const objects::Pod& pod) {
        if (selects(service.selector, pod.labels)) add_endpoint(service, pod, slices);
      };
      if (index)
        for (const objects::Pod* pod : index->candidates(service.selector)) consider(*pod);
      else
        for (const auto& [pod_name, object] : ns.pods) consider(pod_of(object));
    }
    std::vector<objects::EndpointSlice> now;
    now.reserve(slices.size());
    for (auto& [slice_name, slice] : slices) {
      slice.endpoints.shrink_to_fit();
      now.push_back(std::move(slice));
    }
    const auto before = ns.derived.find(name);
    compare(before == ns.derived.end() ? std::vector<objects::EndpointSlice>() : before->second, now, events);
    if (now.empty())
      ns.derived.erase(name);
    else
      ns.derived[name] = std::move(now);
  }
  ns.dirty_services.clear();
}

std::vector<objects::ObjectEvent> EndpointDeriver::derive() {
  std::vector<objects::ObjectEvent> events;
  for (const std::string& name : dirty_) {
    const auto found = namespaces_.find(name);
    derive_namespace(found->second, events);
    if (found->second.empty()) namespaces_.erase(found);
  }
  dirty_.clear();
  std::stable_partition(events.begin(), events.end(), [](const objects::ObjectEvent& event) { return !event.object; });
  return events;
}

}  // namespace kubenatd::agent::sources
