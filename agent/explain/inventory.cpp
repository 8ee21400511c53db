#include "agent/explain/inventory.h"

#include <algorithm>

namespace kubenatd::agent::explain {

void Inventory::take(const objects::ObjectEvent& event) {
  if (event.object) {
    objects_[{event.kind, event.key}] = event.object;
  } else {
    objects_.erase({event.kind, event.key});
  }
}

std::vector<const objects::EndpointSlice*> Inventory::slices_of(const objects::ObjectKey& service) const {
  std::vector<const objects::EndpointSlice*> found = all<objects::EndpointSlice>();
  std::erase_if(found, [&](const objects::EndpointSlice* slice) {
    return slice->service != service.name || slice->key.ns != service.ns;
  });
  return found;
}

std::vector<const objects::Pod*> Inventory::pods_of(const objects::Service& service) const {
  if (service.selector.empty()) return {};
  std::vector<const objects::Pod*> found = all<objects::Pod>();
  std::erase_if(found, [&](const objects::Pod* pod) {
    return pod->key.ns != service.key.ns || !std::ranges::all_of(service.selector, [&](const auto& wanted) {
             const auto label = pod->labels.find(wanted.first);
             return label != pod->labels.end() && label->second == wanted.second;
           });
  });
  return found;
}

const objects::Pod* Inventory::pod_with(const rules::Address& address) const {
  for (const objects::Pod* pod : all<objects::Pod>())
    if (!pod->host_network && std::ranges::find(pod->addresses, address) != pod->addresses.end()) return pod;
  return nullptr;
}

}  // namespace kubenatd::agent::explain
