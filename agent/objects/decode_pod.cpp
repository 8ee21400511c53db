#include <array>
#include <utility>

#include "agent/objects/decoders.h"

namespace kubenatd::agent::objects {
namespace {

Pod::Phase read_phase(const Field& field) {
  using Phase = Pod::Phase;
  constexpr std::array<std::pair<std::string_view, Phase>, 4> kPhases{{{"Pending", Phase::kPending},
                                                                       {"Running", Phase::kRunning},
                                                                       {"Succeeded", Phase::kSucceeded},
                                                                       {"Failed", Phase::kFailed}}};
  const std::string text = field.text(Wrong::kLeave);
  for (const auto& [name, phase] : kPhases)
    if (text == name) return phase;
  return Phase::kUnknown;
}

void read_container_ports(const Field& container, Pod& pod) {
  for (const Field& element : container.member("ports", Wrong::kLeave).elements(Wrong::kLeave)) {
    ContainerPort port;
    port.name = element.member("name", Wrong::kLeave).text(Wrong::kLeave);
    const auto protocol = element.member("protocol", Wrong::kLeave).protocol(Wrong::kLeave);
    port.container_port = element.member("containerPort", Wrong::kLeave).port(Wrong::kLeave);
    if (!protocol || port.container_port == 0) continue;
    port.protocol = *protocol;
    constexpr std::uint32_t kHighest = 65535;
    const Field host_port = element.member("hostPort", Wrong::kLeave);
    port.host_port = static_cast<std::uint16_t>(host_port.number(0, kHighest, Wrong::kLeave).value_or(0));
    const Field host_ip = element.member("hostIP", Wrong::kLeave);
    port.host_ip = host_ip.address(Wrong::kLeave);
    // A wrong hostIP must not open the port on every address.
    if (!port.host_ip && host_ip.present() && !(host_ip.is_text() && host_ip.text(Wrong::kLeave).empty()))
      port.host_port = 0;
    pod.ports.push_back(std::move(port));
  }
}

bool read_ready(const Field& conditions) {
  for (const Field& element : conditions.elements(Wrong::kLeave))
    if (element.member("type", Wrong::kLeave).text(Wrong::kLeave) == "Ready")
      return element.member("status", Wrong::kLeave).text(Wrong::kLeave) == "True";
  return false;
}

}  // namespace

Pod decode_pod(const Field& root, ObjectKey key) {
  Pod pod;
  pod.key = std::move(key);
  const Field metadata = root.member("metadata");
  pod.labels = metadata.member("labels").labels(Wrong::kLeave);
  pod.created = metadata.member("creationTimestamp", Wrong::kLeave).time();
  pod.terminating = metadata.member("deletionTimestamp").present();

  const Field spec = root.member("spec", Wrong::kLeave);
  pod.node_name = spec.member("nodeName", Wrong::kLeave).text(Wrong::kLeave);
  pod.hostname = spec.member("hostname", Wrong::kLeave).text(Wrong::kLeave);
  pod.host_network = spec.member("hostNetwork", Wrong::kLeave).flag(Wrong::kLeave).value_or(false);
  for (const Field& container : spec.member("containers", Wrong::kLeave).elements(Wrong::kLeave))
    read_container_ports(container, pod);
  for (const Field& container : spec.member("initContainers", Wrong::kLeave).elements(Wrong::kLeave))
    if (container.member("restartPolicy", Wrong::kLeave).text(Wrong::kLeave) == "Always")
      read_container_ports(container, pod);
  pod.ports.shrink_to_fit();

  const Field status = root.member("status", Wrong::kLeave);
  pod.phase = read_phase(status.member("phase", Wrong::kLeave));
  pod.ready = read_ready(status.member("conditions", Wrong::kLeave));
  for (const Field& element : status.member("podIPs", Wrong::kLeave).elements(Wrong::kLeave))
    if (const auto address = element.member("ip", Wrong::kLeave).address(Wrong::kLeave))
      pod.addresses.push_back(*address);
  if (pod.addresses.empty())
    if (const auto address = status.member("podIP", Wrong::kLeave).address(Wrong::kLeave))
      pod.addresses.push_back(*address);
  return pod;
}

}  // namespace kubenatd::agent::objects
