#pragma once

#include <cstddef>

namespace kubenatd::bench {

/// Time of connect() to random services, in microseconds.
struct Latency {
  double p50 = 0;
  double p95 = 0;
  double p99 = 0;
};

/// Makes this namespace answer for every endpoint and connects to `connections` services drawn at random out of
/// `services`. The chains must be there already.
[[nodiscard]] Latency measure_latency(std::size_t services, std::size_t connections);

}  // namespace kubenatd::bench
