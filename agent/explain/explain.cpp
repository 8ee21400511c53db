#include "agent/explain/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/explain/diagnose.h"
#include "agent/explain/differences.h"
#include "agent/explain/identify.h"
#include "agent/explain/path.h"
#include "agent/explain/url.h"

namespace kubenatd::agent::explain {
namespace {

using rules::Address;
using rules::Family;
using rules::walk::Packet;

/// Addresses of nobody (RFC 5737, RFC 3849): a client somewhere outside.
Address anybody(Family family) {
  return Address::parse(family == Family::kIpv4 ? "192.0.2.1" : "2001:db8::1").value();
}

std::optional<Address> node_address(const ExplainContext& context, Family family) {
  for (const Address& address : context.node_addresses)
    if (address.family == family) return address;
  return std::nullopt;
}

/// Who asks, when the question does not say: a ClusterIP or localhost is asked on the node, anything else from outside.
void choose_source(const ExplainContext& context, const Question& question, const Identity& identity, Answer& answer) {
  Packet& packet = answer.packet;
  const Family family = packet.destination.family;
  const bool inside = identity.subject.kind == Subject::Kind::kClusterIp || packet.destination.is_loopback();
  const bool from_node = question.from_node || (!question.from && inside && context.in_interface.empty());
  if (from_node) {
    packet.source =
        packet.destination.is_loopback() ? packet.destination : node_address(context, family).value_or(anybody(family));
    packet.origin = Packet::Origin::kLocal;
    answer.from = "this node";
    return;
  }
  packet.source = question.from.value_or(anybody(family));
  if (context.surroundings.is_local(packet.source)) {
    packet.origin = Packet::Origin::kLocal;
    answer.from = "this node";
    return;
  }
  packet.in_interface = context.in_interface.empty() ? context.surroundings.interface_to(packet.source).value_or("")
                                                     : context.in_interface;
  if (const objects::Pod* pod = context.inventory.pod_with(packet.source)) {
    answer.from = "pod " + pod->key.to_string();
  } else {
    answer.from = question.from ? "an address of no known pod" : "any client outside the cluster";
  }
}

/// Without objects: what the comment of the rule that served it says ("demo/web:http cluster IP"); in a table of nft,
/// the set that had it.
Subject subject_of_rules(const Answer& answer) {
  using Kind = Subject::Kind;
  constexpr std::pair<std::string_view, Kind> kEndings[] = {{" cluster IP", Kind::kClusterIp},
                                                            {" external IP", Kind::kExternalIp},
                                                            {" loadbalancer IP", Kind::kLoadBalancerIp}};
  for (const PathStep& step : answer.steps) {
    if (!step.matched) continue;
    if (step.table == "kubenatd" && step.chain == "services") {
      if (step.why.starts_with("@cluster-ips ")) return {Kind::kClusterIp, step.comment};
      if (step.why.find("@nodeports") != std::string::npos) return {Kind::kNodePort, step.comment};
      continue;
    }
    const bool node_ports = step.chain == "KUBE-NODEPORTS";
    const bool dispatch = node_ports || step.chain == "KUBE-SERVICES" || step.chain.starts_with("KUBE-SVC-IP-");
    const std::string_view comment = step.comment;
    if (!dispatch || comment.empty()) continue;
    for (const auto& [ending, kind] : kEndings)
      if (comment.ends_with(ending)) return {kind, std::string(comment.substr(0, comment.size() - ending.size()))};
    if (node_ports) return {Kind::kNodePort, std::string(comment)};
  }
  return {};
}

}  // namespace

rules::Result<Answer> explain(const ExplainContext& context, const Question& question) {
  if (question.form == Question::Form::kUrl) return explain_url(context, question);
  Answer answer;
  answer.question = question;
  answer.source = context.source;
  const Family wanted = question.from ? question.from->family : Family::kIpv4;
  auto destination = question.address;
  if (!destination) destination = node_address(context, wanted);
  if (!destination)
    return rules::fail("question " + question.text, "find this node's address",
                       fmt::format("no {} address is known; name one with --node-address", name_of(wanted)));
  // Of a text, no rules say that it is the wrong one; a kernel may have none.
  if (context.source == "saved" && !context.rules.has(destination->family))
    return rules::fail("question " + question.text, "walk the rules",
                       fmt::format("there are no {} rules in this source", name_of(destination->family)));
  answer.packet.protocol = question.protocol;
  answer.packet.destination = *destination;
  answer.packet.destination_port = question.port;

  Identity identity = identify(context, *destination, question.port, question.protocol);
  choose_source(context, question, identity, answer);

  const auto walk = rules::walk::walk(context.rules, answer.packet, context.surroundings);
  const Ways ways = join_ways(walk);
  answer.is_doubtful = ways.is_doubtful;
  tell_path(context, walk, ways, answer);
  if (!identity.rivals.empty())
    identity = identify(context, *destination, question.port, question.protocol, answer.ends);
  answer.subject = identity.subject;
  if (identity.near != nullptr) answer.subject.name = identity.near->key.to_string();
  if (context.inventory.empty() && answer.subject.kind != Subject::Kind::kHealthCheck)
    if (const Subject told = subject_of_rules(answer); told.kind != Subject::Kind::kNone) answer.subject = told;
  if (context.desired) {
    const auto desired_walk = rules::walk::walk(*context.desired, answer.packet, context.surroundings);
    answer.differences = differences_on_path(context.rules, walk, *context.desired, desired_walk);
  }
  answer.rules_changed = context.rules.is_current && !context.rules.is_current();
  if (context.flows) answer.flows = context.flows(answer.packet);
  diagnose_objects(context, identity, answer);
  diagnose_walk(context, identity, walk, ways, answer);
  diagnose_node(context, identity, ways, answer);
  answer.client = client_view(identity, answer);
  return answer;
}

bool has_problem(const Answer& answer) {
  return std::ranges::any_of(answer.findings,
                             [](const Finding& one) { return one.weight == Finding::Weight::kProblem; }) ||
         (answer.backend != nullptr && has_problem(*answer.backend));
}

bool met_changes(const Answer& answer) {
  return answer.rules_changed || (answer.backend != nullptr && met_changes(*answer.backend));
}

}  // namespace kubenatd::agent::explain
