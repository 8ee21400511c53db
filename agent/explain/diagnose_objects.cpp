#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "agent/base/printable.h"
#include "agent/explain/diagnose.h"
#include "agent/state/service_state.h"

namespace kubenatd::agent::explain {
namespace {

using Target = Subject::Kind;
using Weight = Finding::Weight;

constexpr std::size_t kMostDetails = 10;
constexpr std::size_t kShown = 200;

/// Endpoints or pods that could serve, and why each does not.
std::vector<std::string> unready(const ExplainContext& context, const Identity& identity) {
  std::vector<std::string> lines;
  for (const objects::Pod* pod : context.inventory.pods_of(*identity.service))
    if (const std::string why = why_not_ready(*pod); !why.empty())
      lines.push_back(fmt::format("pod {}: {}", pod->key.to_string(), why));
  if (!lines.empty()) return lines;
  for (const rules::Endpoint& endpoint : identity.view->endpoints)
    if (!endpoint.is_ready)
      lines.push_back(fmt::format("endpoint {}: {}", rules::join_host_port(endpoint.address, endpoint.port),
                                  endpoint.is_serving ? "it is being deleted" : "it is not ready"));
  return lines;
}

std::string selector_text(const objects::Labels& selector) {
  std::string text;
  for (const auto& [key, value] : selector)
    text += (text.empty() ? "" : ",") + base::one_line(key, kShown) + "=" + base::one_line(value, kShown);
  return text;
}

/// Ports that slices or pods have, when none of them is the one that the Service's port asks for.
std::vector<std::string> port_mismatch(const ExplainContext& context, const Identity& identity) {
  std::vector<std::string> lines;
  for (const objects::EndpointSlice* slice : context.inventory.slices_of(identity.service->key)) {
    if (slice->endpoints.empty()) continue;
    for (const objects::SlicePort& port : slice->ports) {
      if (port.name == identity.port->name && port.protocol == identity.port->protocol) return {};
      lines.push_back(fmt::format("EndpointSlice {} has port {} {}/{}", slice->key.to_string(),
                                  base::in_quotes(port.name), port.port, name_of(port.protocol)));
    }
  }
  if (!lines.empty()) return lines;
  for (const objects::Pod* pod : context.inventory.pods_of(*identity.service)) {
    for (const objects::ContainerPort& port : pod->ports) {
      if (port.name == identity.port->target_port) return {};
      lines.push_back(fmt::format("pod {} has container port {} {}/{}", pod->key.to_string(),
                                  base::in_quotes(port.name), port.container_port, name_of(port.protocol)));
    }
  }
  const std::string& target = identity.port->target_port;
  const bool named = std::ranges::any_of(target, [](char c) { return c < '0' || c > '9'; });
  return named ? lines : std::vector<std::string>{};
}

/// Nobody to give the connection to at all.
void diagnose_no_endpoint(const ExplainContext& context, const Identity& identity, Answer& answer) {
  const std::string& name = identity.view->name;
  if (identity.service == nullptr) return;
  const objects::Service& service = *identity.service;
  const auto slices = context.inventory.slices_of(service.key);
  const bool any_endpoint =
      std::ranges::any_of(slices, [](const objects::EndpointSlice* slice) { return !slice->endpoints.empty(); });
  if (!any_endpoint && !service.selector.empty() && context.inventory.pods_of(service).empty()) {
    add_finding(answer, Weight::kProblem, "selector-matches-nothing",
                fmt::format("no pod in namespace {} has the labels {}, which {} selects", service.key.ns,
                            selector_text(service.selector), service.key.to_string()));
    return;
  }
  if (identity.port != nullptr) {
    if (auto lines = port_mismatch(context, identity); !lines.empty()) {
      add_finding(answer, Weight::kProblem, "port-name-mismatch",
                  fmt::format("no endpoint of {} has a port for its port {} (targetPort {})", service.key.to_string(),
                              base::in_quotes(identity.port->name), base::in_quotes(identity.port->target_port)),
                  std::move(lines));
      return;
    }
  }
  add_finding(answer, Weight::kProblem, "no-ready-endpoint", fmt::format("{} has no ready endpoint", name),
              unready(context, identity));
}

/// "10.244.2.7:8080 on node-2"
std::string with_node(const ExplainContext& context, const Identity& identity, const rules::Endpoint& endpoint) {
  std::string text = rules::join_host_port(endpoint.address, endpoint.port);
  if (identity.service == nullptr) return text;
  for (const objects::EndpointSlice* slice : context.inventory.slices_of(identity.service->key))
    for (const objects::SliceEndpoint& one : slice->endpoints)
      if (one.address == endpoint.address && !one.place->node_name.empty())
        return text + " on " + base::one_line(one.place->node_name, kShown);
  const objects::Pod* pod = context.inventory.pod_with(endpoint.address);
  return pod == nullptr || pod->node_name.empty() ? text : text + " on " + base::one_line(pod->node_name, kShown);
}

/// A NodePort whose address is this node's, but none of those where NodePorts answer: the packet stays what it is.
bool diagnose_node_port_address(const ExplainContext& context, const Identity& identity, Answer& answer) {
  const rules::Address& asked = answer.packet.destination;
  const auto& addresses = context.node_port_addresses[static_cast<std::size_t>(asked.family)];
  const bool untouched = !answer.ends.empty() && std::ranges::none_of(answer.ends, &PathEnd::destination_changed);
  if (identity.subject.kind != Target::kNodePort || !untouched) return false;
  if (addresses && std::ranges::find(*addresses, asked) == addresses->end()) {
    std::string others;
    for (const rules::Address& address : *addresses) others += (others.empty() ? "" : ", ") + address.to_string();
    add_finding(answer, Weight::kProblem, "node-port-not-here",
                fmt::format("NodePorts do not answer on {}: nodePortAddresses chooses {}", asked.to_string(),
                            others.empty() ? "no address of this family" : others));
    return true;
  }
  if (asked.is_loopback()) {
    add_finding(answer, Weight::kProblem, "node-port-not-here",
                fmt::format("NodePorts do not answer on {}: {}", asked.to_string(),
                            asked.family == rules::Family::kIpv4
                                ? "iptables.localhostNodePorts, in nftables mode localhost in nodePortAddresses, asks "
                                  "for that"
                                : "they do on localhost in IPv4 alone"));
    return true;
  }
  return false;
}

void diagnose_service(const ExplainContext& context, const Identity& identity, Answer& answer) {
  if (diagnose_node_port_address(context, identity, answer)) return;
  const rules::ServicePortView& view = *identity.view;
  const bool internal = identity.subject.kind == Target::kClusterIp;
  const bool from_outside = answer.packet.origin == rules::walk::Packet::Origin::kArriving &&
                            context.inventory.pod_with(answer.packet.source) == nullptr;
  const bool only_local = internal ? view.internal_policy_local : view.external_policy_local && from_outside;
  const auto usable = [&](const rules::Endpoint& endpoint) {
    return only_local ? endpoint.for_local : endpoint.for_cluster;
  };
  if (std::ranges::none_of(view.endpoints, usable)) {
    const auto elsewhere = [](const rules::Endpoint& one) { return !one.is_local && one.is_ready; };
    if (only_local && std::ranges::any_of(view.endpoints, elsewhere)) {
      std::vector<std::string> lines;
      for (const rules::Endpoint& endpoint : view.endpoints)
        if (elsewhere(endpoint)) lines.push_back(with_node(context, identity, endpoint));
      add_finding(answer, Weight::kProblem, "local-policy-without-local-endpoint",
                  fmt::format("{}TrafficPolicy of {} is Local, and its ready endpoints are all on other nodes",
                              internal ? "internal" : "external", view.name),
                  std::move(lines));
    } else {
      diagnose_no_endpoint(context, identity, answer);
    }
  } else if (identity.service != nullptr) {
    auto lines = unready(context, identity);
    if (!lines.empty())
      add_finding(answer, Weight::kRemark, "some-endpoints-not-ready",
                  fmt::format("{} has endpoints that get nothing", view.name), std::move(lines));
  }
  const auto contains = [&](const rules::Prefix& range) { return range.contains(answer.packet.source); };
  if (identity.subject.kind == Target::kLoadBalancerIp && !view.source_ranges.empty() &&
      std::ranges::none_of(view.source_ranges, contains)) {
    std::vector<std::string> lines;
    for (const rules::Prefix& range : view.source_ranges) lines.push_back(range.to_string());
    add_finding(
        answer, Weight::kProblem, "source-not-in-ranges",
        fmt::format("{} is in none of the loadBalancerSourceRanges of {}", answer.packet.source.to_string(), view.name),
        std::move(lines));
  }
}

void diagnose_near(const Identity& identity, Answer& answer) {
  const objects::Service& service = *identity.near;
  const std::string name = service.key.to_string();
  const auto& packet = answer.packet;
  const auto without_rules = [&](const std::string& why) {
    add_finding(answer, Weight::kProblem, "service-without-rules",
                fmt::format("no rules are made for Service {}: {}", name, why));
  };
  if (!state::is_proxied(service))
    return without_rules(service.foreign_proxy
                             ? "it is left to another proxy by its label service.kubernetes.io/service-proxy-name"
                             : "it is headless or of type ExternalName");
  const bool has_port = std::ranges::any_of(service.ports, [&](const objects::ServicePort& port) {
    return port.protocol == packet.protocol &&
           (port.port == packet.destination_port || port.node_port == packet.destination_port);
  });
  if (has_port)
    return without_rules(fmt::format("it has the port {}/{}, but no cluster IP of {}, or it was refused",
                                     packet.destination_port, name_of(packet.protocol),
                                     rules::name_of(packet.destination.family)));
  std::vector<std::string> lines;
  for (const objects::ServicePort& port : service.ports)
    lines.push_back(
        fmt::format("{}/{}{}{}", port.port, name_of(port.protocol), port.name.empty() ? "" : " ", port.name));
  add_finding(answer, Weight::kProblem, "port-not-in-service",
              fmt::format("the address belongs to Service {}, which has no port {}/{}", name, packet.destination_port,
                          name_of(packet.protocol)),
              std::move(lines));
}

/// Whether the inventory has an object of that name ("Service demo/web"), so that only a part of it was left out.
bool is_here(const ExplainContext& context, std::string_view object) {
  const auto is = [&](const auto& all, std::string_view kind) {
    return std::ranges::any_of(
        all, [&](const auto* one) { return object == std::string(kind) + " " + one->key.to_string(); });
  };
  return is(context.inventory.all<objects::Service>(), "Service") ||
         is(context.inventory.all<objects::EndpointSlice>(), "EndpointSlice") ||
         is(context.inventory.all<objects::Pod>(), "Pod") || is(context.inventory.all<objects::Node>(), "Node");
}

/// What was refused, passed over or taken in part while loading. True when that is why nothing is known of it.
bool diagnose_passed(const ExplainContext& context, const Identity& identity, Answer& answer) {
  const auto& packet = answer.packet;
  const bool is_local = context.surroundings.is_local(packet.destination);
  std::set<const PassedOver*> told;
  bool explains = false;
  for (const PassedOver* one : context.passed.about(packet.destination, packet.destination_port, is_local)) {
    told.insert(one);
    const bool by_address = std::ranges::find(one->addresses, packet.destination) != one->addresses.end();
    const std::string what =
        by_address ? packet.destination.to_string() : fmt::format("port {} of this node", packet.destination_port);
    const bool known = identity.view != nullptr || identity.subject.kind == Target::kHostPort;
    explains = explains || !known;
    add_finding(
        answer, known ? Weight::kRemark : Weight::kProblem, "passed-over",
        fmt::format("{} belongs to {}, which was {}: {}", what, base::one_line(one->object, kShown),
                    is_here(context, one->object) ? "taken in part" : "left out", base::one_line(one->reason, kShown)));
  }
  std::vector<const PassedOver*> more;
  const auto take = [&](const std::vector<const PassedOver*>& some) {
    for (const PassedOver* one : some)
      if (told.insert(one).second) more.push_back(one);
  };
  const objects::Service* service = identity.service != nullptr ? identity.service : identity.near;
  if (service != nullptr) {
    take(context.passed.named("Service " + service->key.to_string()));
    take(context.passed.named_like("EndpointSlice " + service->key.to_string() + "-"));
  }
  if (identity.pod != nullptr) take(context.passed.named("Pod " + identity.pod->key.to_string()));
  for (const PassedOver* one : more)
    add_finding(
        answer, Weight::kRemark, "passed-over",
        fmt::format("{} was {}: {}", base::one_line(one->object, kShown),
                    is_here(context, one->object) ? "taken in part" : "left out", base::one_line(one->reason, kShown)));
  return explains;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return result;
}

/// Names that differ only by case or by domain.
bool looks_alike(std::string_view one, std::string_view other) {
  const std::string mine = lower(one);
  const std::string theirs = lower(other);
  if (mine == theirs) return one != other;
  const std::string label = mine.substr(0, mine.find('.'));
  const bool is_number = std::ranges::all_of(label, [](char c) { return c >= '0' && c <= '9'; });  // of an address
  return !is_number && label == theirs.substr(0, theirs.find('.'));
}

/// Nobody carries this node's name: what is meant to be here is not taken for it.
void diagnose_node_name(const ExplainContext& context, const Identity& identity, Answer& answer) {
  std::set<std::string> names;
  for (const objects::Node* node : context.inventory.all<objects::Node>()) names.insert(node->key.name);
  for (const objects::Pod* pod : context.inventory.all<objects::Pod>()) names.insert(pod->node_name);
  for (const objects::EndpointSlice* slice : context.inventory.all<objects::EndpointSlice>())
    for (const objects::SliceEndpoint& endpoint : slice->endpoints) names.insert(endpoint.place->node_name);
  names.erase("");
  if (context.node_name.empty() || names.empty() || names.contains(context.node_name)) return;
  std::vector<std::string> alike;
  std::ranges::copy_if(names, std::back_inserter(alike),
                       [&](const std::string& name) { return looks_alike(name, context.node_name); });
  const auto& packet = answer.packet;
  const bool host_port_elsewhere =
      identity.subject.kind == Target::kNode &&
      std::ranges::any_of(context.inventory.all<objects::Pod>(), [&](const objects::Pod* pod) {
        return claims(*pod, pod->node_name, packet.destination, packet.destination_port, packet.protocol);
      });
  const bool local_without = std::ranges::any_of(
      answer.findings, [](const Finding& one) { return one.code == "local-policy-without-local-endpoint"; });
  const bool matters = host_port_elsewhere || local_without;
  std::vector<std::string> lines;
  for (const std::string& name : alike.empty() ? std::vector<std::string>(names.begin(), names.end()) : alike)
    lines.push_back(base::one_line(name, kShown));
  add_finding(answer, matters ? Weight::kProblem : Weight::kRemark, "node-name-differs",
              fmt::format("this node is named {}, and no Node, Pod or endpoint is: nothing of theirs counts as being "
                          "here, for hostPorts and traffic policy Local; {}",
                          base::in_quotes(context.node_name), alike.empty() ? "they name" : "these names look alike"),
              std::move(lines));
}

/// True when the way leads to something of which nothing says that it does not work.
bool works(const ExplainContext& context, const Answer& answer, const PathEnd& end) {
  using rules::walk::End;
  const bool arrives = end.end == End::kForwarded || end.end == End::kLocal;
  const bool meant = end.destination_changed || answer.subject.kind == Target::kPod;
  if (!arrives || !meant || end.neighbour_failed || end.last_destination || end.last_port) return false;
  if (const objects::Pod* pod = context.inventory.pod_with(end.destination)) return why_not_ready(*pod).empty();
  for (const auto& views : context.views)
    for (const rules::ServicePortView* view : views)
      for (const rules::Endpoint& one : view->endpoints)
        if (one.address == end.destination && one.port == end.port) return one.is_ready || one.is_serving;
  return false;
}

/// Where every way ends well, what is wrong with the objects does not matter to this packet.
void weigh(const ExplainContext& context, Answer& answer) {
  const auto good = [&](const PathEnd& end) { return works(context, answer, end); };
  if (answer.ends.empty() || !std::ranges::all_of(answer.ends, good)) return;
  for (Finding& finding : answer.findings)
    if (finding.code != kHostPortWrongPod) finding.weight = Weight::kRemark;
}

/// "demo/blue:http claims it, too, and has no endpoints"
std::vector<std::string> describe(const std::vector<Identity::Rival>& rivals) {
  std::vector<std::string> texts;
  for (const Identity::Rival& rival : rivals) {
    const char* what = "claims it, too";
    if (rival.usability == rules::Usability::kNone) what = "claims it, too, and has no endpoints";
    if (rival.usability == rules::Usability::kElsewhere)
      what = "claims it, too, and has endpoints on other nodes alone";
    texts.push_back(fmt::format("{} {}", rival.name, what));
  }
  return texts;
}

}  // namespace

std::string why_not_ready(const objects::Pod& pod) {
  switch (pod.phase) {
    case objects::Pod::Phase::kPending: return "its phase is Pending";
    case objects::Pod::Phase::kSucceeded: return "it has ended (Succeeded)";
    case objects::Pod::Phase::kFailed: return "it has ended (Failed)";
    case objects::Pod::Phase::kRunning:
    case objects::Pod::Phase::kUnknown: break;
  }
  if (pod.terminating) return "it is being deleted";
  if (pod.addresses.empty()) return "it has no address yet";
  if (!pod.ready) return "its condition Ready is not True";
  return {};
}

void add_finding(Answer& answer, Weight weight, std::string code, std::string text, std::vector<std::string> details) {
  if (details.size() > kMostDetails) {
    const std::size_t more = details.size() - kMostDetails;
    details.resize(kMostDetails);
    details.push_back(fmt::format("and {} more", more));
  }
  answer.findings.push_back(
      {.weight = weight, .code = std::move(code), .text = std::move(text), .details = std::move(details)});
}

void diagnose_objects(const ExplainContext& context, const Identity& identity, Answer& answer) {
  if (context.inventory.empty() && context.passed.empty()) return;
  const bool is_withheld = diagnose_withheld(context, answer);
  const bool explained = diagnose_passed(context, identity, answer) || is_withheld;
  const bool changed = std::ranges::any_of(answer.ends, &PathEnd::destination_changed);
  if (identity.view != nullptr) {
    diagnose_service(context, identity, answer);
  } else if (identity.near != nullptr) {
    if (!explained) diagnose_near(identity, answer);
  } else if (identity.subject.kind == Target::kHostPort) {
    if (!is_withheld) diagnose_host_port(context, identity, answer);
  } else if (identity.subject.kind == Target::kNone && !changed && !explained) {
    add_finding(
        answer, Weight::kProblem, "address-not-a-service",
        fmt::format("{} is no address of a Service, a pod or this node", answer.packet.destination.to_string()));
  } else if (identity.subject.kind == Target::kNode && !changed && !explained) {
    add_finding(answer, Weight::kRemark, "port-not-served",
                fmt::format("port {}/{} of this node is neither a NodePort nor a hostPort",
                            answer.packet.destination_port, name_of(answer.packet.protocol)));
  }
  if (identity.subject.kind == Target::kNode && changed) diagnose_left_entry(context, answer);
  if (!identity.rivals.empty())
    add_finding(answer, Weight::kRemark, "address-claimed-twice",
                fmt::format("{} is claimed by several Services, of which {} counts here; kubenatd gives it to the "
                            "first by name with usable endpoints",
                            to_text(rules::Frontend{answer.packet.destination, answer.packet.protocol,
                                                    answer.packet.destination_port}),
                            answer.subject.name),
                describe(identity.rivals));
  diagnose_node_name(context, identity, answer);
  weigh(context, answer);
}

}  // namespace kubenatd::agent::explain
