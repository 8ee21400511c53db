#include "rules/nftables/host_ports.h"

#include <memory>

#include "rules/nftables/emit.h"

namespace kubenatd::rules::nftables {
namespace {

constexpr Address kLocalhost{Family::kIpv4, {127, 0, 0, 1}};

/// As the portmap plugin: the pod has to see an address to which it answers by way of the node. ::1 never leaves it.
std::vector<ElementKey> masqueraded(const Address& pod) {
  std::vector<ElementKey> pairs{hairpin(pod)};
  if (pod.family != Family::kIpv4) return pairs;
  ElementKey local{{SetId::kHairpin}, {}, 0};
  local.key.address(kLocalhost).address(pod);
  pairs.push_back(local);
  return pairs;
}

}  // namespace

HostPortElements emit_host_ports(const std::vector<hostport::PodPorts>& pods) {
  HostPortElements elements;
  for (const hostport::PodPorts& pod : pods) {
    const auto comment = std::make_shared<const std::string>(("Pod " + pod.id).substr(0, kMaxComment));
    for (const hostport::Mapping& mapping : pod.mappings) {
      ElementKey key{{mapping.host_ip ? SetId::kHostIpHostPorts : SetId::kHostPorts}, {}, 0};
      if (mapping.host_ip) key.key.address(*mapping.host_ip);
      key.key.protocol(mapping.protocol).port(mapping.host_port);
      elements.forwards.try_emplace(
          key, HostPortElements::Forward{{endpoint_value({pod.address, mapping.container_port}), comment}, pod.id});
    }
    for (const ElementKey& pair : masqueraded(pod.address)) elements.masqueraded.insert(pair);
  }
  return elements;
}

}  // namespace kubenatd::rules::nftables
