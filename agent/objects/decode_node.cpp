#include <fmt/format.h>

#include "agent/objects/api_words.h"
#include "agent/objects/checks.h"
#include "agent/objects/decoders.h"

namespace kubenatd::agent::objects {
namespace {

/// The cluster autoscaler is about to remove this node: load balancers should send nothing to it any more.
constexpr const char* kAutoscalerTaint = "ToBeDeletedByClusterAutoscaler";

bool has_taint(const Field& taints, std::string_view key) {
  bool found = false;
  for (const Field& taint : taints.elements()) {
    const Field field = taint.member("key");
    const std::string text = field.text();
    if (const auto wrong = wrong_qualified_name(text); !wrong.empty()) field.disallow(invalid(text, wrong));
    found = found || text == key;
  }
  return found;
}

/// In a folder the singular counts when the two differ, as for clients that know only that one: the API server writes
/// it into the plural, which is what kube-proxy reads of a server's object.
void read_pod_cidrs(const Field& spec, Node& node) {
  const Field list = spec.member("podCIDRs");
  const Field single = spec.member("podCIDR");
  std::vector<Field> fields = list.elements();
  const std::string single_text = single.text();
  if (!single_text.empty() && (fields.empty() || (spec.is_from_folder() && fields.front().text() != single_text))) {
    for (const Field& field : fields) (void)field.text();  // the types count even so
    fields = {single};
  }
  std::vector<rules::Family> families;
  for (const Field& field : fields)
    if (const auto prefix = field.prefix(Wrong::kLeave)) {
      node.pod_cidrs.push_back(*prefix);
      families.push_back(prefix->address.family);
    }
  check_dual_stack(list, families, "CIDR");
}

}  // namespace

Node decode_node(const Field& root, ObjectKey key) {
  Node node;
  node.key = std::move(key);
  const Field metadata = root.member("metadata");
  Labels labels = metadata.member("labels").labels();
  node.zone = labels["topology.kubernetes.io/zone"];
  read_topology(root, node);

  const Field spec = root.member("spec");
  const bool is_tainted = has_taint(spec.member("taints"), kAutoscalerTaint);
  node.is_leaving = metadata.member("deletionTimestamp").present() || is_tainted;
  read_pod_cidrs(spec, node);

  Seen seen;
  std::vector<rules::Address> external;
  for (const Field& element : root.member("status").member("addresses").elements()) {
    const std::string type = element.member("type").text();
    const Field field = element.member("address");
    const std::string text = field.text();
    const std::string both = fmt::format("{} {}", type, text);
    if (element.is_from_folder() && !seen.add(both)) element.disallow(duplicate(both));
    const bool is_internal = type == "InternalIP";
    if (!is_internal && type != "ExternalIP") continue;
    // The API server takes any text.
    if (const auto address = field.address(Wrong::kRemark))
      (is_internal ? node.addresses : external).push_back(*address);
  }
  node.addresses.insert(node.addresses.end(), external.begin(), external.end());
  node.kubelet_port = root.member("status")
                          .member("daemonEndpoints")
                          .member("kubeletEndpoint")
                          .member("Port")
                          .port_or_zero(Wrong::kRemark);  // the API server takes any number
  return node;
}

}  // namespace kubenatd::agent::objects
