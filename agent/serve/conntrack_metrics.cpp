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

struct Told {
  const char* name;
  const char* help;
  MetricType type;
};
constexpr Told kEntries{"kubenatd_conntrack_entries", "Connections that are tracked in this network namespace",
                        MetricType::Gauge};
constexpr Told kLimit{"kubenatd_conntrack_entries_limit", "How many there may be (nf_conntrack_max); 0: no limit",
                      MetricType::Gauge};
constexpr Told kInsertFailed{"kubenatd_conntrack_insert_failed_total",
                             "Packets dropped because another connection had taken the same addresses and ports first",
                             MetricType::Counter};
constexpr Told kDropped{"kubenatd_conntrack_dropped_total",
                        "Packets dropped because no entry could be made, mostly as the table is full",
                        MetricType::Counter};
constexpr Told kEarlyDropped{"kubenatd_conntrack_early_dropped_total",
                             "Connections forgotten to make room in a full table", MetricType::Counter};

}  // namespace

std::vector<std::string> ConntrackMetrics::names() {
  return {kEntries.name, kLimit.name, kInsertFailed.name, kDropped.name, kEarlyDropped.name};
}

std::vector<prometheus::MetricFamily> ConntrackMetrics::Collect() const {
  std::vector<prometheus::MetricFamily> families;
  const auto add = [&](const Told& told, double value) {
    prometheus::ClientMetric metric;
    (told.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    families.push_back({told.name, told.help, told.type, {std::move(metric)}});
  };
  if (const auto entries = setting(config::kSysctlConntrackCount)) add(kEntries, *entries);
  if (const auto most = setting(config::kSysctlConntrackMax)) add(kLimit, *most);
  const auto stats = netlink::host::read_conntrack_stats();
  if (!stats) return families;
  add(kInsertFailed, static_cast<double>(stats->insert_failed));
  add(kDropped, static_cast<double>(stats->dropped));
  add(kEarlyDropped, static_cast<double>(stats->early_dropped));
  return families;
}

}  // namespace kubenatd::agent::serve
