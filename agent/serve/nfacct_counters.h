#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <vector>

namespace kubenatd::agent::serve {

/// kube-proxy's packet counters that the kernel keeps by name (nfnetlink_acct), read at each scrape.
///
/// Threading: any thread, in the network namespace of the agent. Failure: a counter that cannot be read is left out.
/// Cost: two requests to the kernel a scrape.
class NfacctCounters final : public prometheus::Collectable {
 public:
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;
};

}  // namespace kubenatd::agent::serve
