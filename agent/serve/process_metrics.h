#pragma once

#include <prometheus/metric_family.h>

#include <vector>

namespace kubenatd::agent::serve {

/// This process as /proc/self shows it, under the names that Prometheus clients use: process_cpu_seconds_total,
/// process_resident_memory_bytes, process_virtual_memory_bytes, process_open_fds, process_max_fds,
/// process_start_time_seconds. What cannot be read is left out.
[[nodiscard]] std::vector<prometheus::MetricFamily> process_metrics();

}  // namespace kubenatd::agent::serve
