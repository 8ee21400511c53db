#include "agent/api/known_objects.h"

#include <utility>

namespace kubenatd::agent::api {

void KnownObjects::put(objects::ObjectKey key, objects::Object&& object) {
  Entry& entry = objects_[key];
  entry.list = list_;
  if (entry.object && *entry.object == object) return;
  entry.object = std::make_shared<const objects::Object>(std::move(object));
  changed_({kind_, std::move(key), entry.object});
}

void KnownObjects::keep(const objects::ObjectKey& key) {
  if (const auto found = objects_.find(key); found != objects_.end()) found->second.list = list_;
}

void KnownObjects::remove(const objects::ObjectKey& key) {
  if (objects_.erase(key) > 0) changed_({kind_, key, nullptr});
}

void KnownObjects::end_list() {
  for (auto entry = objects_.begin(); entry != objects_.end();) {
    if (entry->second.list == list_) {
      ++entry;
      continue;
    }
    changed_({kind_, entry->first, nullptr});
    entry = objects_.erase(entry);
  }
}

}  // namespace kubenatd::agent::api
