#include "agent/node/connection_tracking.h"

#include <fmt/format.h>

#include "agent/base/sysctl.h"
#include "agent/config/conntrack_settings.h"

namespace kubenatd::agent::node {
namespace {

/// Of the table, in percent: past that there is little room for a storm of connections.
constexpr std::uint64_t kNearlyFull = 90;

}  // namespace

bool is_conntrack_loaded() {
  return base::read_sysctl(config::kSysctlConntrackMax).has_value();
}

ConnectionTracking read_connection_tracking(bool loaded_before) {
  ConnectionTracking tracking{.loaded_before = loaded_before,
                              .entries = base::read_sysctl_number(config::kSysctlConntrackCount),
                              .most_entries = base::read_sysctl_number(config::kSysctlConntrackMax),
                              .be_liberal = std::nullopt};
  if (const auto liberal = base::read_sysctl_number(base::kSysctlTcpBeLiberal)) tracking.be_liberal = *liberal != 0;
  return tracking;
}

Findings judge(const ConnectionTracking& tracking) {
  Findings findings;
  Finding table{.name = "conntrack"};
  table.option = "CONFIG_NF_CONNTRACK";
  table.module = "nf_conntrack";
  table.since = "2.6.15";
  if (!tracking.entries || !tracking.most_entries) {
    table.state = State::kWarning;
    table.what =
        "its settings (net.netfilter.*) are not there: the module nf_conntrack is not loaded, or this network "
        "namespace does not show them";
    table.remedy = "modprobe nf_conntrack, also at boot (/etc/modules-load.d), before sysctl.conf is read";
  } else if (*tracking.entries >= *tracking.most_entries / 100 * kNearlyFull && *tracking.most_entries != 0) {
    table.state = State::kWarning;
    table.what = fmt::format("its table is nearly full: {} of {} connections; new ones are dropped when it is",
                             *tracking.entries, *tracking.most_entries);
    table.remedy = "raise net.netfilter.nf_conntrack_max, or conntrack.maxPerCore and conntrack.min (--conntrack-min)";
  } else {
    table.what = fmt::format("{} of {} connections", *tracking.entries, *tracking.most_entries);
    if (!tracking.loaded_before) {
      table.state = State::kWarning;
      table.what +=
          "; nf_conntrack was not loaded before, so settings net.netfilter.* that the node makes at boot were "
          "lost (as on Rocky Linux 9); kubenatd makes its own after its first rules";
      table.remedy = "load nf_conntrack at boot: a file in /etc/modules-load.d";
    }
  }
  findings.push_back(std::move(table));
  if (tracking.be_liberal) {
    findings.push_back({.name = "nf_conntrack_tcp_be_liberal",
                        .what = *tracking.be_liberal
                                    ? "1: packets that connection tracking finds invalid are not dropped"
                                    : "0: iptables mode drops packets that connection tracking finds invalid"});
  }
  return findings;
}

}  // namespace kubenatd::agent::node
