#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <vector>

#include "agent/serve/metrics.h"

namespace kubenatd::agent::serve {

/// The metrics themselves. Series that every reader may expect exist from the start with 0; others come with the first
/// value.
class Metrics::Series {
 public:
  using Counter = prometheus::Counter;
  using Gauge = prometheus::Gauge;
  using Histogram = prometheus::Histogram;
  template <class Metric>
  using Family = prometheus::Family<Metric>;
  /// One for each address family, with the label ip_family.
  template <class Metric>
  using PerFamily = std::array<Metric*, 2>;

  explicit Series(config::Config::Mode mode);

  prometheus::Registry registry;

  PerFamily<Histogram> sync_duration, full_sync_duration, partial_sync_duration, network_programming;
  PerFamily<Gauge> last_sync, last_queued;
  PerFamily<Gauge> no_internal_endpoints, no_external_endpoints;
  Gauge *endpoints_pending, *services_pending;
  Counter *endpoint_changes, *service_changes;
  Family<Counter>*healthz, *livez;
  PerFamily<Counter> sync_failures;
  Family<Gauge>*rules_owned = nullptr, *rules_written = nullptr;  ///< iptables mode
  PerFamily<Histogram> sweep_duration;
  PerFamily<Counter> sweep_deleted;

  Family<Counter>*drift_found, *drift_healed;
  PerFamily<Histogram> heal_duration;
  PerFamily<Counter> syncs, audits, transactions, messages, bytes, chains_written, generation_retries, problems;
  PerFamily<Gauge> refused_service_ports, refused_pods;
  PerFamily<Gauge> left_behind;
  Gauge* restricted_services;
  PerFamily<Counter> elements_written{};                     ///< nftables mode
  PerFamily<Gauge> fast_path_devices{};                      ///< nftables mode
  PerFamily<Gauge> table_owned{}, table_owned_by_another{};  ///< nftables mode
  Counter *disputes, *kernel_seconds, *overruns;
  Family<Gauge>*objects, *source_up;

 private:
  Counter* counter(const char* name, const char* help);
  Gauge* gauge(const char* name, const char* help);
  Family<Counter>* counters(const char* name, const char* help);
  Family<Gauge>* gauges(const char* name, const char* help);
  PerFamily<Counter> counter_per_family(const char* name, const char* help);
  PerFamily<Gauge> gauge_per_family(const char* name, const char* help);
  PerFamily<Histogram> histogram_per_family(const char* name, const char* help, const std::vector<double>& buckets);
};

}  // namespace kubenatd::agent::serve
