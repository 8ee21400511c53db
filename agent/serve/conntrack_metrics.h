#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <string>
#include <vector>

namespace kubenatd::agent::serve {

/// How full the table of connection tracking is, and what was dropped because of it, read at each scrape.
///
/// Threading: any thread, in the network namespace of the agent. Failure: what cannot be read is left out: a kernel
/// without connection tracking has none of these. Cost: two small files and one dump with a message for each processor.
class ConntrackMetrics final : public prometheus::Collectable {
 public:
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;
  /// Of all that may be told.
  [[nodiscard]] static std::vector<std::string> names();
};

}  // namespace kubenatd::agent::serve
