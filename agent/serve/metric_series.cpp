#include "agent/serve/metric_series.h"

#include "agent/serve/metric_buckets.h"

namespace kubenatd::agent::serve {
namespace {

#if defined(__x86_64__)
constexpr const char* kPlatform = "linux/amd64";
#elif defined(__aarch64__)
constexpr const char* kPlatform = "linux/arm64";
#else
constexpr const char* kPlatform = "linux";
#endif

std::string label(rules::Family family) {
  return std::string(name_of(family));
}

template <class Metric>
using PerFamily = std::array<Metric*, 2>;

template <class Metric, class... Args>
PerFamily<Metric> add_per_family(prometheus::Family<Metric>& family, prometheus::Labels labels, const Args&... args) {
  PerFamily<Metric> metrics{};
  for (const rules::Family one : rules::kFamilies) {
    labels["ip_family"] = label(one);
    metrics[static_cast<std::size_t>(one)] = &family.Add(labels, args...);
  }
  return metrics;
}

}  // namespace

Metrics::Series::Counter* Metrics::Series::counter(const char* name, const char* help) {
  return &counters(name, help)->Add({});
}
Metrics::Series::Gauge* Metrics::Series::gauge(const char* name, const char* help) {
  return &gauges(name, help)->Add({});
}
Metrics::Series::Family<prometheus::Counter>* Metrics::Series::counters(const char* name, const char* help) {
  return &prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}
Metrics::Series::Family<prometheus::Gauge>* Metrics::Series::gauges(const char* name, const char* help) {
  return &prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}
PerFamily<prometheus::Counter> Metrics::Series::counter_per_family(const char* name, const char* help) {
  return add_per_family(*counters(name, help), {});
}
PerFamily<prometheus::Gauge> Metrics::Series::gauge_per_family(const char* name, const char* help) {
  return add_per_family(*gauges(name, help), {});
}
PerFamily<prometheus::Histogram> Metrics::Series::histogram_per_family(const char* name, const char* help,
                                                                       const std::vector<double>& buckets) {
  return add_per_family(prometheus::BuildHistogram().Name(name).Help(help).Register(registry), {}, buckets);
}

Metrics::Series::Series(config::Config::Mode mode) {
  const bool nftables = mode == config::Config::Mode::kNftables;
  // kube-proxy's, with its help texts.
  sync_duration = histogram_per_family("kubeproxy_sync_proxy_rules_duration_seconds",
                                       "[ALPHA] SyncProxyRules latency in seconds", sync_buckets());
  full_sync_duration =
      histogram_per_family("kubeproxy_sync_full_proxy_rules_duration_seconds",
                           "[ALPHA] SyncProxyRules latency in seconds for full resyncs", sync_buckets());
  partial_sync_duration =
      histogram_per_family("kubeproxy_sync_partial_proxy_rules_duration_seconds",
                           "[ALPHA] SyncProxyRules latency in seconds for partial resyncs", sync_buckets());
  last_sync = gauge_per_family("kubeproxy_sync_proxy_rules_last_timestamp_seconds",
                               "[ALPHA] The last time proxy rules were successfully synced");
  last_queued = gauge_per_family("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds",
                                 "[ALPHA] The last time a sync of proxy rules was queued");
  network_programming =
      histogram_per_family("kubeproxy_network_programming_duration_seconds",
                           "[ALPHA] In Cluster Network Programming Latency in seconds", programming_buckets());
  endpoints_pending =
      gauge("kubeproxy_sync_proxy_rules_endpoint_changes_pending", "[ALPHA] Pending proxy rules Endpoint changes");
  endpoint_changes =
      counter("kubeproxy_sync_proxy_rules_endpoint_changes_total", "[ALPHA] Cumulative proxy rules Endpoint changes");
  services_pending =
      gauge("kubeproxy_sync_proxy_rules_service_changes_pending", "[ALPHA] Pending proxy rules Service changes");
  service_changes =
      counter("kubeproxy_sync_proxy_rules_service_changes_total", "[ALPHA] Cumulative proxy rules Service changes");
  Family<Gauge>& no_local = *gauges("kubeproxy_sync_proxy_rules_no_local_endpoints_total",
                                    "[ALPHA] Number of services with a Local traffic policy and no endpoints");
  no_internal_endpoints = add_per_family(no_local, {{"traffic_policy", "internal"}});
  no_external_endpoints = add_per_family(no_local, {{"traffic_policy", "external"}});
  healthz = counters("kubeproxy_proxy_healthz_total", "[ALPHA] Cumulative proxy healthz HTTP status");
  livez = counters("kubeproxy_proxy_livez_total", "[ALPHA] Cumulative proxy livez HTTP status");
  if (nftables) {
    sync_failures = counter_per_family("kubeproxy_sync_proxy_rules_nftables_sync_failures_total",
                                       "[ALPHA] Cumulative proxy nftables sync failures");
    elements_written = counter_per_family("kubenatd_elements_written_total", "Elements of sets written or removed");
    fast_path_devices = gauge_per_family("kubenatd_fast_path_devices",
                                         "Devices on which established connections to Services bypass the rules");
    table_owned = gauge_per_family("kubenatd_table_owned",
                                   "Whether the table belongs to this agent, so that no other program can change it");
    table_owned_by_another =
        gauge_per_family("kubenatd_table_owned_by_another",
                         "Whether the table belongs to another program that runs, so that this agent cannot change it");
  } else {
    sync_failures = counter_per_family("kubeproxy_sync_proxy_rules_iptables_restore_failures_total",
                                       "[ALPHA] Cumulative proxy iptables restore failures");
    rules_owned = gauges("kubeproxy_sync_proxy_rules_iptables_total",
                         "[ALPHA] Total number of iptables rules owned by kube-proxy");
    rules_written = gauges("kubeproxy_sync_proxy_rules_iptables_last",
                           "[ALPHA] Number of iptables rules written by kube-proxy in last sync");
  }
  sweep_duration = histogram_per_family("kubeproxy_conntrack_reconciler_sync_duration_seconds",
                                        "[ALPHA] ReconcileConntrackFlowsLatency latency in seconds", sync_buckets());
  sweep_deleted = counter_per_family("kubeproxy_conntrack_reconciler_deleted_entries_total",
                                     "[ALPHA] Cumulative conntrack flows deleted by conntrack reconciler");

  // The one of every component of Kubernetes: the version is that of the kube-proxy whose interface this is.
  gauges("kubernetes_build_info",
         "[ALPHA] A metric with a constant '1' value labeled by major, minor, git version, git commit, git tree state, "
         "build date, Go version, and compiler from which Kubernetes was built, and platform on which it is running.")
      ->Add({{"major", "1"},
             {"minor", "36"},
             {"git_version", "v1.36.3+kubenatd-" KUBENATD_VERSION},
             {"compiler", "gcc"},
             {"platform", kPlatform}})
      .Set(1);

  // The agent's own.
  gauges("kubenatd_build_info", "Which kubenatd this is; always 1")->Add({{"version", KUBENATD_VERSION}}).Set(1);
  syncs = counter_per_family("kubenatd_syncs_total", "Syncs that were tried");
  audits = counter_per_family("kubenatd_audits_total", "Syncs that compared everything with the kernel");
  drift_found = counters("kubenatd_drift_found_total", "Chains found touched by another program, by kind");
  drift_healed =
      counters("kubenatd_drift_healed_total", "Chains put right after another program had changed them, by kind");
  heal_duration =
      histogram_per_family("kubenatd_drift_heal_duration_seconds",
                           "Time from the kernel's word of a change by another program to its healing", sync_buckets());
  disputes = counter("kubenatd_drift_disputes_total",
                     "Times that healing a chain was slowed down because another program keeps changing it");
  transactions = counter_per_family("kubenatd_transactions_total", "Transactions committed to nf_tables");
  messages = counter_per_family("kubenatd_transaction_messages_total", "Netlink messages in transactions");
  bytes = counter_per_family("kubenatd_transaction_bytes_total", "Bytes of netlink messages in transactions");
  chains_written = counter_per_family("kubenatd_chains_written_total", "Chains written, made or removed");
  kernel_seconds = counter("kubenatd_transaction_seconds_total", "Time that the kernel took for transactions");
  generation_retries = counter_per_family("kubenatd_generation_retries_total",
                                          "Transactions tried again because another program wrote at the same time");
  problems = counter_per_family("kubenatd_sync_problems_total",
                                "Service ports that the kernel refused and chains that it would not give up");
  Family<Gauge>& refused = *gauges("kubenatd_refused_objects",
                                   "Service ports and Pods with host ports that are not in the kernel now because it "
                                   "refuses them; they are tried again");
  refused_service_ports = add_per_family(refused, {{"kind", "service_port"}});
  refused_pods = add_per_family(refused, {{"kind", "pod"}});
  restricted_services =
      gauge("kubenatd_restricted_services",
            "Services that do not get all that they ask for: an address or port is somebody else's, or "
            "there are too many endpoints");
  left_behind = gauge_per_family("kubenatd_other_proxy_rules",
                                 "Tables and groups of chains of other proxies that stand beside kubenatd's rules and "
                                 "are left alone because their maker seems to run");
  overruns = counter("kubenatd_event_overruns_total", "Times that events of the kernel were lost");
  objects = gauges("kubenatd_source_objects", "Objects that the sources know");
  source_up = gauges("kubenatd_source_up", "Whether what is known of a resource is up to date");

  for (const char* code : {"200", "503"}) {
    healthz->Add({{"code", code}});
    livez->Add({{"code", code}});
  }
}

}  // namespace kubenatd::agent::serve
