#pragma once

#include <map>
#include <vector>

#include "agent/objects/objects.h"

namespace kubenatd::agent::explain {

/// All objects that a source has given, to look things up in: those that the chains were made from, and those that were
/// left out.
///
/// Threading: one thread. Failure: none. Cost: a pointer an object.
class Inventory {
 public:
  void take(const objects::ObjectEvent& event);

  template <class T>
  [[nodiscard]] const T* find(const objects::ObjectKey& key) const {
    const auto found = objects_.find({objects::kind_of(objects::Object(std::in_place_type<T>)), key});
    return found == objects_.end() ? nullptr : &std::get<T>(*found->second);
  }
  /// All of a kind, by namespace and name.
  template <class T>
  [[nodiscard]] std::vector<const T*> all() const {
    std::vector<const T*> found;
    const objects::Kind kind = objects::kind_of(objects::Object(std::in_place_type<T>));
    for (auto at = objects_.lower_bound({kind, {}}); at != objects_.end() && at->first.first == kind; ++at)
      found.push_back(&std::get<T>(*at->second));
    return found;
  }

  [[nodiscard]] std::vector<const objects::EndpointSlice*> slices_of(const objects::ObjectKey& service) const;
  /// Pods that the Service's selector fits; none without a selector.
  [[nodiscard]] std::vector<const objects::Pod*> pods_of(const objects::Service& service) const;
  [[nodiscard]] const objects::Pod* pod_with(const rules::Address& address) const;
  [[nodiscard]] bool empty() const { return objects_.empty(); }

 private:
  std::map<std::pair<objects::Kind, objects::ObjectKey>, objects::ObjectPtr> objects_;
};

}  // namespace kubenatd::agent::explain
