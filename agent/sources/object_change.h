#pragma once

#include "agent/objects/objects.h"

namespace kubenatd::agent::sources {

/// Names an object. The kind comes first, so that an ordered walk gives Services before slices, Nodes and Pods.
struct ObjectId {
  objects::Kind kind = objects::Kind::kService;
  objects::ObjectKey key;
  auto operator<=>(const ObjectId&) const = default;
};

/// An object with its content now; without content: it is gone.
struct ObjectChange {
  ObjectId id;
  objects::ObjectPtr now;
};

[[nodiscard]] inline ObjectId id_of(const objects::Object& object) {
  return {objects::kind_of(object), std::visit([](const auto& typed) { return typed.key; }, object)};
}

}  // namespace kubenatd::agent::sources
