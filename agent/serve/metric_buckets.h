#pragma once

#include <vector>

/// Numbers that kube-proxy's dashboards know.
namespace kubenatd::agent::serve {

/// kube-proxy's buckets of sync durations: 0.001 x 2^k seconds, 15 of them.
[[nodiscard]] std::vector<double> sync_buckets();

/// kube-proxy's buckets of the network programming latency: 0.25, 0.5, 1 to 59 by 1, 60 to 115 by 5, 120 to 300 by 30.
[[nodiscard]] std::vector<double> programming_buckets();

}  // namespace kubenatd::agent::serve
