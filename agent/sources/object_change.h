#pragma once

#include "agent/objects/objects.h"

namespace kubenatd::agent::sources {

/// Which object: kinds first, so that an ordered walk gives Services before slices, Nodes and Pods.
struct ObjectId {
  objects::Kind kind = objects::Kind::kService;
  objects::ObjectKey key;
  auto operator<=>(const ObjectId&) const = default;
};

/// An object that is now like this; none: it is gone.
struct ObjectChange {
  ObjectId id;
  objects::ObjectPtr now;
};

[[nodiscard]] inline ObjectId id_of(const objects::Object& object) {
  return {objects::kind_of(object), std::visit([](const auto& typed) { return typed.key; }, object)};
}

}  // namespace kubenatd::agent::sources
