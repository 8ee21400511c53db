#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <memory>
#include <string>
#include <vector>

#include "agent/api/request_stats.h"

namespace kubenatd::agent::daemon {

/// Requests to the API server, under the names that client-go gives them.
///
/// Threading: any thread. Failure: none. Cost: that of a copy of the counts.
class RequestMetrics final : public prometheus::Collectable {
 public:
  /// `host` is that of the server, with its port.
  RequestMetrics(std::shared_ptr<const api::RequestStats> stats, std::string host)
      : stats_(std::move(stats)), host_(std::move(host)) {}
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const std::shared_ptr<const api::RequestStats> stats_;
  const std::string host_;
};

}  // namespace kubenatd::agent::daemon
