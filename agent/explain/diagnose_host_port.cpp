#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "agent/explain/diagnose.h"

namespace kubenatd::agent::explain {
namespace {

using Weight = Finding::Weight;

constexpr const char* kWithheld = "host-port-withheld";

/// Whether a pod of this node with that address has the hostPort.
bool is_claimed_at(const ExplainContext& context, const rules::walk::Packet& packet, const rules::Address& address) {
  return std::ranges::any_of(context.inventory.all<objects::Pod>(), [&](const objects::Pod* pod) {
    return std::ranges::find(pod->addresses, address) != pod->addresses.end() &&
           claims(*pod, context.node_name, packet.destination, packet.destination_port, packet.protocol);
  });
}

/// Whether an address is of the range of this node's pods.
bool is_of_node_pods(const ExplainContext& context, const rules::Address& address) {
  const auto* node = context.inventory.find<objects::Node>({"", context.node_name});
  return node != nullptr &&
         std::ranges::any_of(node->pod_cidrs, [&](const rules::Prefix& range) { return range.contains(address); });
}

bool is_nobody(const ExplainContext& context, const PathEnd& end) {
  return end.destination_changed && context.inventory.pod_with(end.destination) == nullptr &&
         !context.surroundings.is_local(end.destination);
}

/// A hostPort whose packets go to an address that no Pod has.
void diagnose_dead_entry(const ExplainContext& context, const Identity& identity, Answer& answer) {
  std::map<rules::Address, std::vector<std::string>> nobody;
  for (const PathEnd& end : answer.ends)
    if (is_nobody(context, end)) nobody[end.destination].push_back(rules::join_host_port(end.destination, end.port));
  for (auto& [address, ends] : nobody)
    add_finding(answer, Weight::kProblem, kWithheld,
                fmt::format("hostPort {} of pod {} is withheld for an entry that leads to {}, which no Pod {}",
                            answer.packet.destination_port, identity.subject.name, address.to_string(),
                            is_of_node_pods(context, address)
                                ? "of this node has; kubenatd removes it a minute after it has seen that"
                                : "has; kubenatd leaves it, as it is outside the range of this node's pods"),
                std::move(ends));
}

}  // namespace

void diagnose_left_entry(const ExplainContext& context, Answer& answer) {
  if (std::ranges::none_of(context.inventory.all<objects::Pod>(),
                           [&](const objects::Pod* pod) { return pod->node_name == context.node_name; }))
    return;
  std::vector<std::string> nobody;
  for (const PathEnd& end : answer.ends)
    if (is_nobody(context, end) && is_of_node_pods(context, end.destination))
      nobody.push_back(rules::join_host_port(end.destination, end.port));
  if (!nobody.empty())
    add_finding(answer, Weight::kRemark, kHostPortWrongPod,
                fmt::format("port {}/{} of this node leads to an address of its pods that no Pod has: a rule that "
                            "somebody left or made by hand",
                            answer.packet.destination_port, name_of(answer.packet.protocol)),
                std::move(nobody));
}

void diagnose_host_port(const ExplainContext& context, const Identity& identity, Answer& answer) {
  const auto& packet = answer.packet;
  std::vector<std::string> others;
  for (const objects::Pod* pod : context.inventory.all<objects::Pod>())
    if (pod != identity.pod &&
        claims(*pod, context.node_name, packet.destination, packet.destination_port, packet.protocol))
      others.push_back("pod " + pod->key.to_string());
  if (!others.empty())
    add_finding(answer, Weight::kProblem, "host-port-claimed-twice",
                fmt::format("hostPort {} of pod {} is claimed by another pod of this node, too; only one can have it",
                            packet.destination_port, identity.subject.name),
                std::move(others));
  const bool served = std::ranges::any_of(answer.ends, &PathEnd::destination_changed);
  std::vector<std::string> wrong;
  for (const PathEnd& end : answer.ends)
    if (end.destination_changed && !is_nobody(context, end) && !is_claimed_at(context, packet, end.destination))
      wrong.push_back(rules::join_host_port(end.destination, end.port) + (end.who.empty() ? "" : ", " + end.who));
  if (!wrong.empty())
    add_finding(answer, Weight::kProblem, kHostPortWrongPod,
                fmt::format("hostPort {} of pod {} leads to another pod: a rule that somebody left or made by hand",
                            packet.destination_port, identity.subject.name),
                std::move(wrong));
  diagnose_dead_entry(context, identity, answer);
  if (!served)
    add_finding(
        answer, Weight::kProblem, kWithheld,
        fmt::format(
            "hostPort {} of pod {} has no rule here: it is withheld, or nobody on this node makes hostPort rules",
            packet.destination_port, identity.subject.name));
  if (const std::string why = why_not_ready(*identity.pod); !why.empty())
    add_finding(answer, Weight::kRemark, "pod-not-ready", fmt::format("pod {}: {}", identity.subject.name, why));
}

}  // namespace kubenatd::agent::explain
