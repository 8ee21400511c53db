#include "agent/daemon/localhost_routing.h"

#include <algorithm>
#include <string>
#include <utility>

#include "agent/base/log.h"
#include "agent/base/sysctl.h"
#include "netlink/host/neighbour.h"

namespace kubenatd::agent::daemon {

namespace {

/// The rules of IPv4 are in place, the guard of 127.0.0.0/8 among them.
bool is_guarded(const dataplane::RoundReport& report) {
  return std::ranges::none_of(report.families, [](const dataplane::RoundReport::Family& family) {
    return family.family == rules::Family::kIpv4 && family.error;
  });
}

}  // namespace

bool LocalhostRouting::after(const dataplane::RoundReport& report, const rules::NodeOptions& ipv4) {
  if (done_ || !ipv4.localhost_node_ports) return true;
  if (!is_guarded(report)) return true;  // not yet
  done_ = true;
  const auto now = base::read_sysctl(base::kSysctlRouteLocalnet);
  if (now && *now != "0") return true;
  if (auto written = base::write_sysctl(base::kSysctlRouteLocalnet, "1"); !written) {
    base::log_error(
        "NodePorts will not answer on localhost",
        {{"help",
          "make the setting writable (privileged, or the node's /proc/sys/net/ipv4/conf/all at the same path "
          "below /host), or do without: iptables.localhostNodePorts false "
          "(--iptables-localhost-nodeports=false), in nftables mode nodePortAddresses without localhost"},
         {"error", written.error().to_string()}});
    return false;
  }
  return true;
}

void LocalhostRouting::after(const dataplane::RoundReport& report, const rules::hostport::HostPorts& ipv4) {
  if (!is_guarded(report)) return;
  if (std::exchange(host_ports_, ipv4.version()) == ipv4.version()) return;
  if (const auto everywhere = base::read_sysctl(base::kSysctlRouteLocalnet); everywhere && *everywhere != "0") return;
  for (const auto& [name, chain] : ipv4.chains()) {
    const auto interface = netlink::host::neighbour_interface(chain.pod.address);
    if (!interface) {
      base::log_warning("hostPorts may not answer on localhost", {{"error", interface.error().to_string()}});
      continue;
    }
    // Behind a gateway the setting would open 127.0.0.0/8 to a whole network.
    if (!*interface) continue;
    const std::string setting = "net/ipv4/conf/" + **interface + "/route_localnet";
    if (const auto now = base::read_sysctl(setting); now && *now != "0") continue;
    if (auto written = base::write_sysctl(setting, "1"); !written)
      base::log_warning("hostPorts of a pod will not answer on localhost",
                        {{"pod", chain.pod.id}, {"error", written.error().to_string()}});
  }
}

}  // namespace kubenatd::agent::daemon
