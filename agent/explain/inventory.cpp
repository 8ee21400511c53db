#include "agent/explain/inventory.h"

#include <algorithm>

namespace kubenatd::agent {

void Inventory::take(const ObjectEvent& event) {
  if (event.object) {
    objects_[{event.kind, event.key}] = event.object;
  } else {
    objects_.erase({event.kind, event.key});
  }
}

std::vector<const EndpointSlice*> Inventory::slices_of(const ObjectKey& service) const {
  std::vector<const EndpointSlice*> found = all<EndpointSlice>();
  std::erase_if(
      found, [&](const EndpointSlice* slice) { return slice->service != service.name || slice->key.ns != service.ns; });
  return found;
}

std::vector<const Pod*> Inventory::pods_of(const Service& service) const {
  if (service.selector.empty()) return {};
  std::vector<const Pod*> found = all<Pod>();
  std::erase_if(found, [&](const Pod* pod) {
    return pod->key.ns != service.key.ns || !std::ranges::all_of(service.selector, [&](const auto& wanted) {
             const auto label = pod->labels.find(wanted.first);
             return label != pod->labels.end() && label->second == wanted.second;
           });
  });
  return found;
}

const Pod* Inventory::pod_with(const rules::Address& address) const {
  for (const Pod* pod : all<Pod>())
    if (!pod->host_network && std::ranges::find(pod->addresses, address) != pod->addresses.end()) return pod;
  return nullptr;
}

}  // namespace kubenatd::agent
