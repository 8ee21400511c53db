#include <algorithm>

#include "agent/objects/decoders.h"

namespace kubenatd::agent::objects {
namespace {

/// The cluster autoscaler is about to remove this node: load balancers should send nothing to it any more.
constexpr const char* kAutoscalerTaint = "ToBeDeletedByClusterAutoscaler";

bool has_taint(const Field& taints, std::string_view key) {
  const std::vector<Field> all = taints.elements(Wrong::kLeave);
  return std::ranges::any_of(
      all, [&](const Field& taint) { return taint.member("key", Wrong::kLeave).text(Wrong::kLeave) == key; });
}

}  // namespace

Node decode_node(const Field& root, ObjectKey key) {
  Node node;
  node.key = std::move(key);
  const Field metadata = root.member("metadata");
  Labels labels = metadata.member("labels").labels(Wrong::kLeave);
  node.zone = labels["topology.kubernetes.io/zone"];
  read_topology(root, node);

  const Field spec = root.member("spec", Wrong::kLeave);
  node.is_leaving = metadata.member("deletionTimestamp", Wrong::kLeave).present() ||
                    has_taint(spec.member("taints", Wrong::kLeave), kAutoscalerTaint);
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

}  // namespace kubenatd::agent::objects
