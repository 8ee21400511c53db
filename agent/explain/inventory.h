#pragma once

#include <map>
#include <vector>

#include "agent/objects/objects.h"

namespace kubenatd::agent {

/// Every object that a source has given, to look things up in: what the chains were made from, and what was left out on
/// the way.
///
/// Threading: one thread. Failure: none. Cost: a pointer an object.
class Inventory {
 public:
  void take(const ObjectEvent& event);

  template <class T>
  [[nodiscard]] const T* find(const ObjectKey& key) const {
    const auto found = objects_.find({kind_of(Object(std::in_place_type<T>)), key});
    return found == objects_.end() ? nullptr : &std::get<T>(*found->second);
  }
  /// All of a kind, by namespace and name.
  template <class T>
  [[nodiscard]] std::vector<const T*> all() const {
    std::vector<const T*> found;
    const Kind kind = kind_of(Object(std::in_place_type<T>));
    for (auto at = objects_.lower_bound({kind, {}}); at != objects_.end() && at->first.first == kind; ++at)
      found.push_back(&std::get<T>(*at->second));
    return found;
  }

  [[nodiscard]] std::vector<const EndpointSlice*> slices_of(const ObjectKey& service) const;
  /// Pods that the Service's selector fits; none without a selector.
  [[nodiscard]] std::vector<const Pod*> pods_of(const Service& service) const;
  [[nodiscard]] const Pod* pod_with(const rules::Address& address) const;
  [[nodiscard]] bool empty() const { return objects_.empty(); }

 private:
  std::map<std::pair<Kind, ObjectKey>, ObjectPtr> objects_;
};

}  // namespace kubenatd::agent
