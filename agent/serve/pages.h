#pragma once

#include <map>
#include <string>

#include "agent/config/config.h"
#include "agent/serve/health_state.h"
#include "agent/serve/http_server.h"
#include "agent/serve/metrics.h"
#include "agent/serve/zpages.h"

/// What the two servers of the agent answer, as kube-proxy's do. Handlers refer to what they are made from.
namespace kubenatd::agent::serve {

/// healthzBindAddress: /healthz and /livez. Each answer is counted in `metrics`.
[[nodiscard]] HttpHandler healthz_pages(const HealthState& health, Metrics& metrics);

/// metricsBindAddress: /metrics, /healthz, /proxyMode, /configz, and `more`, by their paths; and what zpages.h has,
/// which tells of them all.
[[nodiscard]] HttpHandler metrics_pages(const Metrics& metrics, const config::Config& config,
                                        std::map<std::string, HttpHandler> more = {}, Zpages about = {});

}  // namespace kubenatd::agent::serve
