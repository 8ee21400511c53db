#include "agent/serve/nfacct_counters.h"

#include "netlink/host/counters.h"
#include "rules/iptables/options.h"

namespace kubenatd::agent::serve {
namespace {

struct Told {
  const char* counter;
  const char* name;
  const char* help;
};

constexpr Told kTold[] = {
    {rules::iptables::kNfacctInvalid, "kubeproxy_iptables_ct_state_invalid_dropped_packets_total",
     "[ALPHA] packets dropped by iptables to work around conntrack problems"},
    {rules::iptables::kNfacctLocalhost, "kubeproxy_iptables_localhost_nodeports_accepted_packets_total",
     "[ALPHA] Number of packets accepted on nodeports of loopback interface"},
};

}  // namespace

std::vector<prometheus::MetricFamily> NfacctCounters::Collect() const {
  std::vector<prometheus::MetricFamily> families;
  for (const Told& told : kTold) {
    const auto packets = netlink::host::read_counter(told.counter);
    if (!packets) continue;
    prometheus::ClientMetric metric;
    metric.counter.value = static_cast<double>(*packets);
    families.push_back({told.name, told.help, prometheus::MetricType::Counter, {metric}});
  }
  return families;
}

}  // namespace kubenatd::agent::serve
