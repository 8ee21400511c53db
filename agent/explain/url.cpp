#include "agent/explain/url.h"

#include <fmt/format.h>

#include <utility>

#include "agent/base/printable.h"
#include "agent/explain/diagnose.h"
#include "agent/explain/explain.h"
#include "agent/explain/identify.h"
#include "agent/explain/ingress_match.h"
#include "agent/explain/url_backend.h"
#include "agent/explain/url_route.h"

namespace kubenatd::agent::explain {
namespace {

using Weight = Finding::Weight;

constexpr std::uint16_t kHttp = 80;
constexpr std::uint16_t kHttps = 443;

void set_controller(const rules::ServicePortView& view, WayIn& way) {
  way.controller = "Service " + view.name;
  way.service_port = view.port;
  way.pod_address.reset();
  for (const rules::Endpoint& endpoint : view.endpoints)
    if (endpoint.is_ready && !way.pod_address) way.pod_address = endpoint.address;
}

/// A name that is no address is looked for by its port only: whose hostPort or NodePort it is; then by the scheme's own
/// port, as behind a port mapping in front of the node.
std::optional<WayIn> find_way_in(const ExplainContext& context, const Question& question) {
  const auto look = [&](std::uint16_t port) -> std::optional<WayIn> {
    for (const objects::Pod* pod : context.inventory.all<objects::Pod>())
      for (const objects::ContainerPort& one : pod->ports)
        if (one.host_port == port &&
            claims(*pod, context.node_name, one.host_ip.value_or(rules::Address{}), port, rules::Protocol::kTcp))
          return WayIn{.address = one.host_ip && !one.host_ip->is_unspecified() ? one.host_ip : std::nullopt,
                       .port = port,
                       .controller = "pod " + pod->key.to_string(),
                       .pod_address = pod->addresses.empty() ? std::nullopt : std::optional(pod->addresses.front())};
    for (const auto& views : context.views)
      for (const rules::ServicePortView* one : views) {
        const rules::ServicePortView& view = *one;
        if (view.protocol != rules::Protocol::kTcp) continue;
        WayIn way{.address = std::nullopt, .port = port, .controller = {}, .pod_address = {}};
        set_controller(view, way);
        if (view.node_port == port) return way;
        if (view.port != port || view.load_balancer_ips.empty()) continue;
        way.address = view.load_balancer_ips.front();
        return way;
      }
    return std::nullopt;
  };
  if (auto found = look(question.port)) return found;
  auto found = look(question.tls ? kHttps : kHttp);
  if (found) found->mapped = true;
  return found;
}

void check_class(const ExplainContext& context, const IngressMatch& match, Answer& answer) {
  const std::string name = match.ingress->key.to_string();
  if (match.ingress_class != nullptr || is_of_ingress_nginx(context.inventory, *match.ingress)) return;
  if (match.ingress->class_name.empty()) {
    add_finding(
        answer, Weight::kProblem, "ingress-without-class",
        fmt::format("Ingress {} names no class and no IngressClass is the default one: no controller may serve it",
                    name));
  } else if (match.ingress->class_by_annotation) {
    add_finding(
        answer, Weight::kRemark, "ingress-class-unknown",
        fmt::format("Ingress {} names the class {} by annotation, and there is no such IngressClass: only a controller "
                    "that was told this name serves it",
                    name, base::in_quotes(match.ingress->class_name)));
  } else {
    add_finding(answer, Weight::kProblem, "ingress-class-unknown",
                fmt::format("Ingress {} names the class {}, and there is no such IngressClass", name,
                            base::in_quotes(match.ingress->class_name)));
  }
}

void add_doubts(const IngressMatch& match, Answer& answer) {
  if (!match.doubts.empty())
    add_finding(
        answer, Weight::kRemark, "ingress-not-judged",
        "rules or annotations that may lead the request elsewhere, and that the controller reads in ways that are "
        "not known here",
        match.doubts);
}

/// No rule of an Ingress fits, and no Gateway has one.
void explain_no_ingress(const ExplainContext& context, const IngressMatch& match, bool listens, bool reached,
                        Answer& answer) {
  const bool is_no_gateway = !listens && !context.inventory.all<objects::Gateway>().empty();
  const Question& question = answer.question;
  std::vector<std::string> lines;
  for (const objects::Ingress* ingress : context.inventory.all<objects::Ingress>())
    for (const objects::IngressRule& rule : ingress->rules)
      for (const objects::IngressPath& path : rule.paths)
        lines.push_back(fmt::format("{}: {}{}", ingress->key.to_string(),
                                    rule.host.empty() ? "*" : base::one_line(rule.host), base::one_line(path.path)));
  add_finding(answer, match.doubts.empty() ? Weight::kProblem : Weight::kRemark, "ingress-no-match",
              fmt::format("no Ingress has a rule for {}{}{}", base::one_line(question.host),
                          base::one_line(question.path), is_no_gateway ? ", and no Gateway listens for it" : ""),
              std::move(lines));
  add_doubts(match, answer);
  if (reached && match.doubts.empty()) answer.client = {"http-404", "404 from the controller"};
  if (reached && !match.doubts.empty())
    answer.client = {"unknown", "404 from the controller, if no rule fits that it reads in a way of its own"};
}

void explain_ingress(const ExplainContext& context, const IngressMatch& match, const WayIn* way, bool reached,
                     Answer& answer) {
  IngressAnswer& told = *answer.ingress;
  told.kind = "Ingress";
  told.ingress = match.ingress->key.to_string();
  told.host = match.host;
  told.path = match.path;
  told.path_type = match.path_type;
  told.ingress_class = match.ingress_class != nullptr ? match.ingress_class->key.name : std::string();
  check_class(context, match, answer);
  ClientView client{"http-503", "503 from the controller"};
  if (match.backend->service.empty()) {
    add_finding(answer, Weight::kProblem, "ingress-without-backend",
                fmt::format("the rule of Ingress {} has no Service behind it", told.ingress));
  } else {
    const Target target{.owner = "Ingress " + told.ingress,
                        .kind = "ingress",
                        .service = {match.ingress->key.ns, match.backend->service},
                        .port = match.backend->port,
                        .port_name = match.backend->port_name,
                        .broken = client};
    told.backend = target.to_string();
    Told backend = explain_backend(context, target, way, answer);
    client = std::move(backend.client);
    answer.backend = std::move(backend.way);
  }
  add_doubts(match, answer);
  if (!reached) return;  // the controller does not even hear of it
  const bool is_served = match.ingress_class != nullptr || is_of_ingress_nginx(context.inventory, *match.ingress);
  if (!is_served && !match.ingress->class_by_annotation) {
    client = {"http-404", "404 from the controller"};
  } else if (!is_served) {
    client = {"unknown", "404 from the controller, if it was not told this class; else: " + client.text};
  } else if (!match.doubts.empty()) {
    client = {"unknown", "what the controller does with the request is not known here; most likely: " + client.text};
  }
  answer.client = std::move(client);
}

/// The rule of an Ingress or an HTTPRoute that the request falls under, and what is behind it.
void explain_rule(const ExplainContext& context, const WayIn* way, bool reached, Answer& answer) {
  const Question& question = answer.question;
  const IngressMatch match = match_ingress(context.inventory, question.host, question.path);
  const RouteRequest request = route_request(context, question, way);
  const RouteFound found = match_http_route(context.inventory, request);
  const bool listens = has_listener(context.inventory, request);
  const bool is_gateways = listens && request.address && is_of_gateway(context.inventory, *request.address);
  const bool by_ingress = match.ingress != nullptr || !match.doubts.empty();
  const bool by_route = found.route != nullptr || !found.doubts.empty();
  answer.ingress.emplace();
  answer.ingress->controller = way != nullptr ? way->controller : std::string();
  // A Gateway's address may be an Ingress controller's, too, if both are one program.
  if (by_ingress && (by_route ? !is_gateways : is_gateways)) {
    add_finding(answer, Weight::kRemark, "ingress-or-gateway",
                "whether a controller of Ingresses or one of Gateways answers is not known here",
                {match.ingress != nullptr ? "Ingress " + match.ingress->key.to_string() : match.doubts.front(),
                 found.route != nullptr ? fmt::format("HTTPRoute {} at Gateway {}", found.route->key.to_string(),
                                                      found.gateway->key.to_string())
                 : by_route             ? found.doubts.front()
                            : "Gateway of " + request.address->to_string() + ": no HTTPRoute has a rule for it"});
    if (reached) answer.client = {"unknown", "an answer by a rule of an Ingress, or by a Gateway"};
    return;
  }
  if (by_route && found.route != nullptr) return explain_route(context, found, way, reached, answer);
  if (by_route) return explain_no_route(context, found, reached, answer);
  if (match.ingress != nullptr) return explain_ingress(context, match, way, reached, answer);
  if (by_ingress || !listens || !context.inventory.all<objects::Ingress>().empty())
    explain_no_ingress(context, match, listens, reached, answer);
  if (listens && !by_ingress) explain_no_route(context, found, reached, answer);
}

}  // namespace

rules::Result<Answer> explain_url(const ExplainContext& context, const Question& question) {
  const auto by_name = find_way_in(context, question);
  std::optional<WayIn> way;
  if (question.address) {
    way = WayIn{.address = question.address, .port = question.port, .controller = {}, .pod_address = {}};
    // localhost of a workstation: a port mapping leads to the node.
    const Identity there = identify(context, *question.address, question.port, rules::Protocol::kTcp);
    const bool unknown = there.view == nullptr && there.pod == nullptr;
    if (question.address->is_loopback() && unknown && by_name) way = by_name;
    if (by_name) way->controller = by_name->controller;
    if (by_name) way->pod_address = by_name->pod_address;
    if (there.view != nullptr) set_controller(*there.view, *way);
  } else {
    way = by_name;
  }

  Answer answer;
  if (way) {
    Question outer = question;
    outer.form = way->address ? Question::Form::kAddress : Question::Form::kNode;
    outer.address = way->address;
    outer.port = way->port;
    auto told = explain(context, outer);
    if (!told) return told;
    answer = std::move(*told);
  }
  answer.question = question;
  answer.source = context.source;
  if (!way) {
    add_finding(answer, Weight::kProblem, "no-way-in",
                fmt::format("no hostPort, NodePort or load balancer address of this node has port {}", question.port));
    answer.client = {"refused", "connection refused, or no answer"};
  } else if (way->mapped) {
    add_finding(answer, Weight::kRemark, "port-mapped",
                fmt::format("port {} is not of this node; taken as mapped to its port {} by something in front",
                            question.port, way->port));
  }
  const bool reached = way && (answer.client.code == "answer" || answer.client.code == "local");

  explain_rule(context, way ? &*way : nullptr, reached, answer);
  return answer;
}

}  // namespace kubenatd::agent::explain
