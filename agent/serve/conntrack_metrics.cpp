#include "agent/serve/conntrack_metrics.h"

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "agent/base/sysctl.h"
#include "agent/config/conntrack_settings.h"
#include "netlink/host/conntrack_stats.h"

namespace kubenatd::agent::serve {
namespace {

using prometheus::MetricType;

std::optional<double> setting(std::string_view name) {
  const auto text = base::read_sysctl(name);
  std::uint64_t number = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), number).ec != std::errc())
    return std::nullopt;
  return static_cast<double>(number);
}

}  // namespace

std::vector<prometheus::MetricFamily> ConntrackMetrics::Collect() const {
  std::vector<prometheus::MetricFamily> families;
  const auto add = [&](const char* name, const char* help, MetricType type, double value) {
    prometheus::ClientMetric metric;
    (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    families.push_back({name, help, type, {std::move(metric)}});
  };
  if (const auto entries = setting(config::kSysctlConntrackCount))
    add("kubenatd_conntrack_entries", "Connections that are tracked in this network namespace", MetricType::Gauge,
        *entries);
  if (const auto most = setting(config::kSysctlConntrackMax))
    add("kubenatd_conntrack_entries_limit", "How many there may be (nf_conntrack_max); 0: no limit", MetricType::Gauge,
        *most);
  const auto stats = netlink::host::read_conntrack_stats();
  if (!stats) return families;
  add("kubenatd_conntrack_insert_failed_total",
      "Packets dropped because another connection had taken the same addresses and ports first", MetricType::Counter,
      static_cast<double>(stats->insert_failed));
  add("kubenatd_conntrack_dropped_total", "Packets dropped because no entry could be made, mostly as the table is full",
      MetricType::Counter, static_cast<double>(stats->dropped));
  add("kubenatd_conntrack_early_dropped_total", "Connections forgotten to make room in a full table",
      MetricType::Counter, static_cast<double>(stats->early_dropped));
  return families;
}

}  // namespace kubenatd::agent::serve
