#include "agent/daemon/request_metrics.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

namespace kubenatd::agent::daemon {
namespace {

prometheus::ClientMetric histogram_of(const api::RequestStats::Durations& durations) {
  prometheus::ClientMetric metric;
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < durations.counts.size(); ++i) {
    count += durations.counts.at(i);
    const bool is_last = i == api::RequestStats::kBuckets.size();
    metric.histogram.bucket.push_back(
        {.cumulative_count = count,
         .upper_bound = is_last ? std::numeric_limits<double>::infinity() : api::RequestStats::kBuckets.at(i)});
  }
  metric.histogram.sample_count = count;
  metric.histogram.sample_sum = durations.sum;
  return metric;
}

}  // namespace

std::vector<prometheus::MetricFamily> RequestMetrics::Collect() const {
  const api::RequestStats::Snapshot counted = stats_->snapshot();
  prometheus::MetricFamily requests{"rest_client_requests_total",
                                    "[ALPHA] Number of HTTP requests, partitioned by status code, method, and host.",
                                    prometheus::MetricType::Counter,
                                    {}};
  for (const auto& [key, count] : counted.requests) {
    prometheus::ClientMetric metric;
    metric.label = {{"code", key.second}, {"host", host_}, {"method", key.first}};
    metric.counter.value = static_cast<double>(count);
    requests.metric.push_back(std::move(metric));
  }
  prometheus::MetricFamily durations{"rest_client_request_duration_seconds",
                                     "[ALPHA] Request latency in seconds. Broken down by verb, and host.",
                                     prometheus::MetricType::Histogram,
                                     {}};
  for (const auto& [method, time] : counted.durations) {
    prometheus::ClientMetric metric = histogram_of(time);
    metric.label = {{"host", host_}, {"verb", method}};
    durations.metric.push_back(std::move(metric));
  }
  return {std::move(requests), std::move(durations)};
}

}  // namespace kubenatd::agent::daemon
