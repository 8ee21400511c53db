#pragma once

#include <string>
#include <vector>

#include "agent/objects/objects.h"

namespace kubenatd::agent::sources {

/// What an API server or a controller would have filled into an object of a folder and nothing here can know: cluster
/// IP, NodePorts, health check port, the addresses of a load balancer. One line each, "Service demo/web: FIELD: WHY".
/// agent/sources/README.md has the whole list of what is left out. Pure; no failure.
[[nodiscard]] std::vector<std::string> unallocated(const objects::Object& object);

}  // namespace kubenatd::agent::sources
