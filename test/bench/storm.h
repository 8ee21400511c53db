#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

#include "test/bench/peer_node.h"

namespace kubenatd::bench {

/// The value below which such a share of the values lies; 0 when there is none.
[[nodiscard]] double quantile(std::vector<double> values, double share);
/// The endpoint of a slice with one endpoint.
[[nodiscard]] rules::Address only_endpoint(std::size_t service, std::size_t variant);

struct Storm {
  std::size_t services;         ///< of the cluster; changes go to all of them at random
  double rate;                  ///< changes a second
  std::chrono::seconds length;  ///< how long it lasts
};

struct StormFigures {
  double rate = 0;                        ///< changes a second that the API server took
  double followed = 0;                    ///< share of the tried changes whose new endpoint was reached
  double p50 = 0, p99 = 0;                ///< seconds from the API server's answer to the first new connection
  double answer_p50 = 0, answer_p99 = 0;  ///< seconds that the API server took over the same changes
  double cpu = 0, api_cpu = 0;            ///< processors
  double steady = 0, peak = 0;            ///< MB
};

/// Changes slices at a steady rate while the node's proxy follows, and tries some of the changes as they come: a slow
/// proxy does not keep the next ones from being tried.
[[nodiscard]] StormFigures measure_storm(const ControlPlane& plane, PeerNode& node, const Storm& storm);

}  // namespace kubenatd::bench
