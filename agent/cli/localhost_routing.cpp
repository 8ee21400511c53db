#include "agent/cli/localhost_routing.h"

#include <string>
#include <utility>

#include "agent/cli/log.h"
#include "agent/config/sysctl.h"
#include "netlink/neighbour.h"

namespace kubenatd::agent {

bool LocalhostRouting::after(const RoundReport& report, const rules::iptables::CompileOptions& ipv4) {
  if (done_ || !ipv4.localhost_node_ports) return true;
  for (const RoundReport::Family& family : report.families)
    if (family.family == rules::Family::kIpv4 && family.error) return true;  // not yet
  done_ = true;
  const auto now = read_sysctl(kSysctlRouteLocalnet);
  if (now && *now != "0") return true;
  if (auto written = write_sysctl(kSysctlRouteLocalnet, "1"); !written) {
    log_error("NodePorts will not answer on localhost", {{"error", written.error().to_string()}});
    return false;
  }
  return true;
}

void LocalhostRouting::after(const rules::hostport::HostPorts& ipv4) {
  if (std::exchange(host_ports_, ipv4.version()) == ipv4.version()) return;
  if (const auto everywhere = read_sysctl(kSysctlRouteLocalnet); everywhere && *everywhere != "0") return;
  for (const auto& [name, chain] : ipv4.chains()) {
    const auto interface = netlink::neighbour_interface(chain.pod.address);
    if (!interface) {
      log_warning("hostPorts may not answer on localhost", {{"error", interface.error().to_string()}});
      continue;
    }
    // Behind a gateway the setting would open 127.0.0.0/8 to a whole network.
    if (!*interface) continue;
    const std::string setting = "net/ipv4/conf/" + **interface + "/route_localnet";
    if (const auto now = read_sysctl(setting); now && *now != "0") continue;
    if (auto written = write_sysctl(setting, "1"); !written)
      log_warning("hostPorts of a pod will not answer on localhost",
                  {{"pod", chain.pod.id}, {"error", written.error().to_string()}});
  }
}

}  // namespace kubenatd::agent
