#pragma once

#include "agent/explain/gateway_match.h"
#include "agent/explain/url_backend.h"

/// The part of a URL's way that Gateway API decides.
namespace kubenatd::agent::explain {

/// What the request is for a Gateway. Behind a NodePort or a port mapping its port is not the listener's.
[[nodiscard]] RouteRequest route_request(const ExplainContext& context, const Question& question, const WayIn* way);

/// A Gateway listens for the request, and no rule of an HTTPRoute surely takes it. `reached`: the controller hears of
/// it.
void explain_no_route(const ExplainContext& context, const RouteFound& found, bool reached, Answer& answer);

/// A rule of an HTTPRoute takes it.
void explain_route(const ExplainContext& context, const RouteFound& found, const WayIn* way, bool reached,
                   Answer& answer);

}  // namespace kubenatd::agent::explain
