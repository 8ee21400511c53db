#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>

#include "agent/objects/objects.h"

namespace kubenatd::agent::api {

/// The objects of one kind as the API server last told them, and what of a new telling is a change.
///
/// Purpose: a list replaces everything: what it does not name is deleted at its end, what is as before is no event.
/// Threading: none of its own. Failure: none. Cost: a map entry an object, which is shared with whoever takes events.
class KnownObjects {
 public:
  /// Is called with each change, in the order of their making.
  using Changed = std::function<void(objects::ObjectEvent)>;

  KnownObjects(objects::Kind kind, Changed changed) : kind_(kind), changed_(std::move(changed)) {}

  [[nodiscard]] std::size_t size() const { return objects_.size(); }
  [[nodiscard]] bool contains(const objects::ObjectKey& key) const { return objects_.contains(key); }

  void put(objects::ObjectKey key, objects::Object&& object);
  /// It is there, but what it is like now cannot be said: it stays as it was.
  void keep(const objects::ObjectKey& key);
  void remove(const objects::ObjectKey& key);

  /// A list begins. One that was begun and not ended is forgotten.
  void begin_list() { ++list_; }
  /// The list is complete: removes what it did not name.
  void end_list();

 private:
  struct Entry {
    objects::ObjectPtr object;
    std::uint64_t list = 0;  ///< the last one that named it
  };

  objects::Kind kind_;
  Changed changed_;
  std::map<objects::ObjectKey, Entry> objects_;
  std::uint64_t list_ = 0;
};

}  // namespace kubenatd::agent::api
