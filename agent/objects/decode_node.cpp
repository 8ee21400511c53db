#include "agent/objects/decoders.h"

namespace kubenatd::agent {

Node decode_node(const Field& root, ObjectKey key) {
  Node node;
  node.key = std::move(key);
  Labels labels = root.member("metadata").member("labels").labels(Wrong::kLeave);
  node.zone = labels["topology.kubernetes.io/zone"];

  const Field spec = root.member("spec", Wrong::kLeave);
  for (const Field& element : spec.member("podCIDRs", Wrong::kLeave).elements(Wrong::kLeave))
    if (const auto prefix = element.prefix(Wrong::kLeave)) node.pod_cidrs.push_back(*prefix);
  if (node.pod_cidrs.empty())
    if (const auto prefix = spec.member("podCIDR", Wrong::kLeave).prefix(Wrong::kLeave))
      node.pod_cidrs.push_back(*prefix);

  const Field status = root.member("status", Wrong::kLeave);
  const std::vector<Field> addresses = status.member("addresses", Wrong::kLeave).elements(Wrong::kLeave);
  for (const std::string_view wanted : {"InternalIP", "ExternalIP"})
    for (const Field& element : addresses) {
      if (element.member("type", Wrong::kLeave).text(Wrong::kLeave) != wanted) continue;
      if (const auto address = element.member("address", Wrong::kLeave).address(Wrong::kLeave))
        node.addresses.push_back(*address);
    }
  return node;
}

}  // namespace kubenatd::agent
