#include "agent/api/known_objects.h"

#include <utility>

namespace kubenatd::agent::api {

void KnownObjects::put(objects::ObjectKey key, objects::Object&& object) {
  const auto found = objects_.find(key);
  if (found != objects_.end()) {
    found->list = list_;
    if (*found->object == object) return;
  }
  places_.share(object);
  auto made = std::make_shared<const objects::Object>(std::move(object));
  if (found != objects_.end())
    found->object = made;
  else
    objects_.insert({.object = made, .list = list_});
  changed_({kind_, std::move(key), std::move(made)});
}

void KnownObjects::keep(const objects::ObjectKey& key) {
  if (const auto found = objects_.find(key); found != objects_.end()) found->list = list_;
}

void KnownObjects::remove(const objects::ObjectKey& key) {
  const auto found = objects_.find(key);
  if (found == objects_.end()) return;
  objects_.erase(found);
  changed_({kind_, key, nullptr});
}

void KnownObjects::end_list() {
  for (auto entry = objects_.begin(); entry != objects_.end();) {
    if (entry->list == list_) {
      ++entry;
      continue;
    }
    changed_({kind_, key_of(*entry->object), nullptr});
    entry = objects_.erase(entry);
  }
}

}  // namespace kubenatd::agent::api
