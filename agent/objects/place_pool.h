#pragma once

#include <variant>

#include "agent/objects/objects.h"

namespace kubenatd::agent::objects {

/// Lets endpoints that have the same place hold it together: a cluster has many more endpoints than nodes.
/// Threading, failure, cost: as SharedPool.
class PlacePool {
 public:
  void share(Object& object) {
    if (auto* slice = std::get_if<EndpointSlice>(&object))
      for (SliceEndpoint& endpoint : slice->endpoints) places_.share(endpoint.place);
  }

 private:
  SharedPool<EndpointPlace> places_;
};

}  // namespace kubenatd::agent::objects
