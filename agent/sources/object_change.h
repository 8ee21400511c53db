#pragma once

#include "agent/objects/objects.h"

namespace kubenatd::agent {

/// Which object: kinds first, so that an ordered walk gives Services before slices, Nodes and Pods.
struct ObjectId {
  Kind kind = Kind::kService;
  ObjectKey key;
  auto operator<=>(const ObjectId&) const = default;
};

/// An object that is now like this; none: it is gone.
struct ObjectChange {
  ObjectId id;
  ObjectPtr now;
};

[[nodiscard]] inline ObjectId id_of(const Object& object) {
  return {kind_of(object), std::visit([](const auto& typed) { return typed.key; }, object)};
}

}  // namespace kubenatd::agent
