#include "agent/sources/endpoint_deriver.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "agent/sources/derived_slices.h"

namespace kubenatd::agent::sources {
namespace {

const objects::Service& service_of(const objects::ObjectPtr& object) {
  return std::get<objects::Service>(*object);
}

const objects::Pod& pod_of(const objects::ObjectPtr& object) {
  return std::get<objects::Pod>(*object);
}

/// A proxy has a use for them.
bool gets_endpoints(const objects::Service& service) {
  return !service.headless && !service.foreign_proxy && service.type != objects::Service::Type::kExternalName;
}

bool asks_for_hints(const objects::Service& service) {
  return !service.selector.empty() && service.distribution != objects::Service::Distribution::kAny;
}

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

/// Finds the pods of many Services without comparing each with each: by the rarest label of the selector.
class EndpointDeriver::PodIndex {
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

void EndpointDeriver::note(const ObjectChange& change) {
  using objects::Kind;
  if (change.id.kind == Kind::kNode) return note_node(change);
  void (*take)(Namespace&, const ObjectChange&) = nullptr;
  switch (change.id.kind) {
    case Kind::kService: take = note_service; break;
    case Kind::kEndpointSlice: take = note_slice; break;
    case Kind::kEndpoints: take = note_endpoints; break;
    case Kind::kPod: take = note_pod; break;
    case Kind::kNode:
    case Kind::kServiceCidr:
    case Kind::kIngress:
    case Kind::kIngressClass:
    case Kind::kGatewayClass:
    case Kind::kGateway:
    case Kind::kHttpRoute: return;
  }
  dirty_.insert(change.id.key.ns);
  take(namespaces_[change.id.key.ns], change);
}

void EndpointDeriver::note_service(Namespace& ns, const ObjectChange& change) {
  const std::string& name = change.id.key.name;
  ns.hinted.erase(name);
  const bool wanted = change.now && gets_endpoints(service_of(change.now));
  if (wanted) {
    ns.services[name] = change.now;
    if (asks_for_hints(service_of(change.now))) ns.hinted.insert(name);
  } else if (ns.services.erase(name) == 0) {
    return;
  }
  ns.dirty_services.insert(name);
}

void EndpointDeriver::note_slice(Namespace& ns, const ObjectChange& change) {
  const std::string& name = change.id.key.name;
  if (const auto before = ns.slices.find(name); before != ns.slices.end()) {
    const std::string& service = before->second.service;
    const auto counts = ns.slice_counts.find(service);
    counts->second.mirrored -= before->second.is_mirrored ? 1 : 0;
    if (--counts->second.all == 0) ns.slice_counts.erase(counts);
    ns.dirty_services.insert(service);
    ns.slices.erase(before);
  }
  if (!change.now) return;
  const auto& slice = std::get<objects::EndpointSlice>(*change.now);
  if (slice.service.empty()) return;
  ns.slices[name] = {slice.service, slice.is_mirrored};
  OwnSlices& counts = ns.slice_counts[slice.service];
  ++counts.all;
  counts.mirrored += slice.is_mirrored ? 1 : 0;
  ns.dirty_services.insert(slice.service);
}

void EndpointDeriver::note_endpoints(Namespace& ns, const ObjectChange& change) {
  const std::string& name = change.id.key.name;  // that of its Service
  if (change.now)
    ns.endpoints[name] = change.now;
  else
    ns.endpoints.erase(name);
  ns.dirty_services.insert(name);
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

void EndpointDeriver::note_node(const ObjectChange& change) {
  if (!nodes_.note(change.id.key.name, change.now)) return;
  for (auto& [name, ns] : namespaces_) {
    if (ns.hinted.empty()) continue;
    ns.dirty_services.insert(ns.hinted.begin(), ns.hinted.end());
    dirty_.insert(name);
  }
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

EndpointDeriver::Outcome EndpointDeriver::of_endpoints(const objects::Endpoints& endpoints) {
  Mirrored mirrored = mirror(endpoints);
  Outcome outcome{.slices = std::move(mirrored.slices), .remark = {}};
  if (mirrored.left_out > 0)
    outcome.remark = fmt::format("Endpoints {}: subsets: {} addresses beyond the 1000th of a subset are left out",
                                 endpoints.key.to_string(), mirrored.left_out);
  return outcome;
}

EndpointDeriver::Outcome EndpointDeriver::of_pods(const Namespace& ns, const objects::Service& service,
                                                  const std::optional<PodIndex>& index) const {
  std::vector<const objects::Pod*> pods;
  const auto consider = [&](const objects::Pod& pod) {
    if (selects(service.selector, pod.labels)) pods.push_back(&pod);
  };
  if (index)
    for (const objects::Pod* pod : index->candidates(service.selector)) consider(*pod);
  else
    for (const auto& [pod_name, object] : ns.pods) consider(pod_of(object));

  Outcome outcome{.slices = slices_of_pods(service, pods), .remark = {}};
  if (const std::string why = add_hints(service.distribution, nodes_, outcome.slices); !why.empty())
    outcome.remark = fmt::format(
        "Service {}: {}: {}", service.key.to_string(),
        service.distribution == objects::Service::Distribution::kByCpu ? "topology mode" : "spec.trafficDistribution",
        why);
  std::erase_if(outcome.slices, [](const objects::EndpointSlice& slice) { return slice.ports.empty(); });
  if (outcome.slices.empty() && ns.endpoints.contains(service.key.name))
    outcome.remark = fmt::format(
        "Endpoints {}: is not used: its Service has a selector, so its endpoints come from Pods, and none is here",
        service.key.to_string());
  return outcome;
}

EndpointDeriver::Outcome EndpointDeriver::derive_service(const Namespace& ns, const std::string& name,
                                                         const std::optional<PodIndex>& index) const {
  const auto found = ns.services.find(name);
  if (found == ns.services.end()) return {};
  const objects::Service& service = service_of(found->second);
  const auto own = ns.slice_counts.find(name);
  if (!service.selector.empty()) {
    if (own != ns.slice_counts.end()) return {};
    return of_pods(ns, service, index);
  }
  const auto endpoints = ns.endpoints.find(name);
  if (endpoints == ns.endpoints.end() || (own != ns.slice_counts.end() && own->second.mirrored > 0)) return {};
  const auto& object = std::get<objects::Endpoints>(*endpoints->second);
  if (!object.is_mirrored) return {};
  return of_endpoints(object);
}

void EndpointDeriver::derive_namespace(Namespace& ns, std::vector<objects::ObjectEvent>& events) {
  find_services_of_changed_pods(ns);
  constexpr std::size_t kIndexPays = 4;  // fewer Services look through the pods one by one
  std::optional<PodIndex> index;
  if (ns.dirty_services.size() > kIndexPays) index.emplace(ns.pods);

  for (const std::string& name : ns.dirty_services) {
    Outcome now = derive_service(ns, name, index);
    const auto before = ns.derived.find(name);
    compare(before == ns.derived.end() ? std::vector<objects::EndpointSlice>() : before->second, now.slices, events);
    if (now.slices.empty())
      ns.derived.erase(name);
    else
      ns.derived[name] = std::move(now.slices);
    if (now.remark.empty()) {
      ns.told.erase(name);
    } else if (std::string& told = ns.told[name]; told != now.remark) {
      told = now.remark;
      remarks_.push_back(std::move(now.remark));
    }
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
