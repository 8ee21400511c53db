#include <array>

#include "agent/base/printable.h"
#include "agent/objects/api_words.h"
#include "agent/objects/decoders.h"
#include "agent/objects/quantity.h"

namespace kubenatd::agent::objects {
namespace {

/// The older annotation counts when both are there (hintsEnabled of k8s.io/endpointslice v0.36).
constexpr const char* kTopologyHints = "service.kubernetes.io/topology-aware-hints";
constexpr const char* kTopologyMode = "service.kubernetes.io/topology-mode";

bool wants_topology_hints(const Field& annotations) {
  const Field older = annotations.member(kTopologyHints, Wrong::kLeave);
  const Field mode = older.present() ? older : annotations.member(kTopologyMode, Wrong::kLeave);
  const std::string text = mode.text(Wrong::kLeave);
  return text == "Auto" || text == "auto";
}

}  // namespace

Service::Distribution read_distribution(const Field& root) {
  using Distribution = Service::Distribution;
  const Field field = root.member("spec").member("trafficDistribution");
  const std::string text = field.text();
  Distribution distribution = Distribution::kAny;
  constexpr std::array<std::string_view, 3> kWords{"PreferClose", "PreferSameZone", "PreferSameNode"};
  if (text == kWords[0] || text == kWords[1])
    distribution = Distribution::kSameZone;
  else if (text == kWords[2])
    distribution = Distribution::kSameNode;
  else if (field.present())
    field.disallow(not_supported(text, kWords));  // kube-proxy does not look at it
  const bool by_cpu = wants_topology_hints(root.member("metadata").member("annotations", Wrong::kLeave));
  return by_cpu ? Distribution::kByCpu : distribution;
}

void read_topology(const Field& root, Node& node) {
  const Labels labels = root.member("metadata").member("labels").labels(Wrong::kLeave);
  node.is_control =
      labels.contains("node-role.kubernetes.io/control-plane") || labels.contains("node-role.kubernetes.io/master");
  const Field status = root.member("status", Wrong::kLeave);
  for (const Field& element : status.member("conditions", Wrong::kLeave).elements(Wrong::kLeave)) {
    if (element.member("type", Wrong::kLeave).text(Wrong::kLeave) != "Ready") continue;
    node.is_ready = element.member("status", Wrong::kLeave).text(Wrong::kLeave) == "True";
    break;
  }
  const Field cpu = status.member("allocatable", Wrong::kLeave).member("cpu", Wrong::kLeave);
  const std::string text = cpu.text_or_number(Wrong::kLeave);
  if (text.empty()) return;
  const auto nanos = parse_quantity(text);
  if (nanos)
    node.cpu_nanos = *nanos;
  else
    cpu.tell(Wrong::kLeave, base::in_quotes(text) + " is no quantity");
}

}  // namespace kubenatd::agent::objects
