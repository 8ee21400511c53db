#include "agent/cli/localhost_routing.h"

#include "agent/cli/log.h"
#include "agent/config/sysctl.h"

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

}  // namespace kubenatd::agent
