#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <variant>

#include "agent/objects/objects.h"
#include "agent/objects/place_pool.h"

namespace kubenatd::agent::api {

/// The objects of one kind as the API server last told them. It finds out which news are real changes.
///
/// Purpose: a list replaces everything. When the list ends, objects that it did not name are deleted; an object that is
/// the same as before makes no event. Threading: none of its own. Failure: none. Cost: an entry of a set for each
/// object; the object itself is shared with whoever takes the events.
class KnownObjects {
 public:
  /// Called for each change, in the order in which the changes are made.
  using Changed = std::function<void(objects::ObjectEvent)>;

  KnownObjects(objects::Kind kind, Changed changed) : kind_(kind), changed_(std::move(changed)) {}

  [[nodiscard]] std::size_t size() const { return objects_.size(); }
  [[nodiscard]] bool contains(const objects::ObjectKey& key) const { return objects_.contains(key); }

  /// `key` is the object's own.
  void put(objects::ObjectKey key, objects::Object&& object);
  /// The object exists, but its new content could not be read: it stays as it was.
  void keep(const objects::ObjectKey& key);
  void remove(const objects::ObjectKey& key);

  /// A list begins. A list that was begun before and has not ended is forgotten.
  void begin_list() { ++list_; }
  /// The list is complete. Objects that it did not name are removed.
  void end_list();

 private:
  static const objects::ObjectKey& key_of(const objects::Object& object) {
    return std::visit([](const auto& one) -> const objects::ObjectKey& { return one.key; }, object);
  }
  struct Entry {
    mutable objects::ObjectPtr object;
    mutable std::uint64_t list = 0;  ///< the last one that named it
  };
  /// By the objects' own keys: a second copy of them would be a tenth of all that is in memory for an object.
  struct ByKey {
    using is_transparent = void;
    static const objects::ObjectKey& key(const Entry& entry) { return key_of(*entry.object); }
    static const objects::ObjectKey& key(const objects::ObjectKey& key) { return key; }
    bool operator()(const auto& left, const auto& right) const { return key(left) < key(right); }
  };

  objects::Kind kind_;
  Changed changed_;
  std::set<Entry, ByKey> objects_;
  objects::PlacePool places_;
  std::uint64_t list_ = 0;
};

}  // namespace kubenatd::agent::api
