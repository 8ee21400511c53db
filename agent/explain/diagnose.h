#pragma once

#include "agent/explain/identify.h"
#include "rules/former_walk/walker.h"

namespace kubenatd::agent::explain {

/// Adds what is wrong about the destination by the objects: endpoints, ports, policies, source ranges, hostPorts.
void diagnose_objects(const ExplainContext& context, const Identity& identity, Answer& answer);

/// Adds what is wrong about the way by the rules: foreign rules that decide, rules that are missing, doubts.
void diagnose_walk(const Identity& identity, const rules::former_walk::Walk& walk, rules::Family family,
                   Answer& answer);

/// What a client sees, from the ends of the walk.
[[nodiscard]] ClientView client_view(const Identity& identity, const Answer& answer);

}  // namespace kubenatd::agent::explain
