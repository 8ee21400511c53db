#include "agent/dataplane/refused.h"

namespace kubenatd::agent::dataplane {

void replace_pods(rules::hostport::HostPorts& host_ports, Refused<std::string>& refused,
                  std::vector<rules::hostport::PodPorts> pods) {
  std::map<std::string, rules::hostport::PodPorts> before;
  refused.for_each([&](const std::string& pod, const rules::Refusal& /*refusal*/) {
    if (const auto* wanted = host_ports.wanted_by(pod)) before.emplace(pod, *wanted);
  });
  host_ports.set_pods(std::move(pods));
  for (const auto& [pod, ports] : before) {
    const auto* now = host_ports.wanted_by(pod);
    if (now == nullptr || *now != ports) refused.forget(pod);
  }
}

}  // namespace kubenatd::agent::dataplane
