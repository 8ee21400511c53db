#include "agent/explain/url.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "agent/base/printable.h"
#include "agent/explain/diagnose.h"
#include "agent/explain/explain.h"
#include "agent/explain/gateway_match.h"
#include "agent/explain/identify.h"
#include "agent/explain/ingress_match.h"

namespace kubenatd::agent::explain {
namespace {

using Weight = Finding::Weight;

constexpr std::uint16_t kHttp = 80;
constexpr std::uint16_t kHttps = 443;

/// Where a request enters this node on its way to the controller of Ingresses or Gateways.
struct WayIn {
  std::optional<rules::Address> address;  ///< none: the node's
  std::uint16_t port = 0;
  std::string controller;
  std::optional<rules::Address> pod_address;  ///< of the controller, to come from on the second part of the way
  std::uint16_t service_port = 0;             ///< of the controller's Service; 0: none is on the way
  bool mapped = false;                        ///< the URL's port is none of this node's: something in front maps it
};

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
      for (const rules::ServicePortView& view : views) {
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

void add(Answer& answer, Weight weight, std::string code, std::string text, std::vector<std::string> details = {}) {
  add_finding(answer, weight, std::move(code), std::move(text), std::move(details));
}

/// What a rule sends requests to.
struct Target {
  std::string owner;  ///< "Ingress demo/shop"
  std::string kind;   ///< that the codes of its findings begin with: "ingress", "route"
  objects::ObjectKey service;
  std::uint16_t port = 0;
  std::string port_name;  ///< in place of the number
  ClientView broken;      ///< what the controller answers when there is no such Service or port

  [[nodiscard]] std::string to_string() const {
    return fmt::format("{}:{}", service.to_string(), port_name.empty() ? std::to_string(port) : port_name);
  }
};

const objects::ServicePort* port_of(const objects::Service& service, const Target& target) {
  for (const objects::ServicePort& port : service.ports)
    if (target.port_name.empty() ? port.port == target.port : port.name == target.port_name) return &port;
  return nullptr;
}

void check_class(const ExplainContext& context, const IngressMatch& match, Answer& answer) {
  const std::string name = match.ingress->key.to_string();
  if (match.ingress_class != nullptr || is_of_ingress_nginx(context.inventory, *match.ingress)) return;
  if (match.ingress->class_name.empty()) {
    add(answer, Weight::kProblem, "ingress-without-class",
        fmt::format("Ingress {} names no class and no IngressClass is the default one: no controller may serve it",
                    name));
  } else if (match.ingress->class_by_annotation) {
    add(answer, Weight::kRemark, "ingress-class-unknown",
        fmt::format("Ingress {} names the class {} by annotation, and there is no such IngressClass: only a controller "
                    "that was told this name serves it",
                    name, base::in_quotes(match.ingress->class_name)));
  } else {
    add(answer, Weight::kProblem, "ingress-class-unknown",
        fmt::format("Ingress {} names the class {}, and there is no such IngressClass", name,
                    base::in_quotes(match.ingress->class_name)));
  }
}

/// What a client sees of one Service, and the way to it, where there is one.
struct Told {
  ClientView client;
  std::unique_ptr<Answer> way;
};

/// From the controller to a Service behind the rule.
Told explain_backend(const ExplainContext& context, const Target& target, const WayIn* way, Answer& answer) {
  Told told{answer.client, nullptr};
  const std::string name = target.service.to_string();
  const objects::Service* service = context.inventory.find<objects::Service>(target.service);
  if (service == nullptr) {
    add(answer, Weight::kProblem, target.kind + "-backend-missing",
        fmt::format("{} sends to Service {}, which does not exist", target.owner, name));
    told.client = target.broken;
    return told;
  }
  const objects::ServicePort* port = port_of(*service, target);
  if (port == nullptr) {
    add(answer, Weight::kProblem, target.kind + "-backend-port",
        target.port == 0 && target.port_name.empty()
            ? fmt::format("{} sends to Service {} and names no port of it", target.owner, name)
            : fmt::format("{} sends to port {} of Service {}, which has no such port", target.owner,
                          target.port_name.empty() ? std::to_string(target.port) : base::in_quotes(target.port_name),
                          name));
    told.client = target.broken;
    return told;
  }
  if (service->cluster_ips.empty()) {
    add(answer, Weight::kRemark, "backend-headless",
        fmt::format("Service {} has no ClusterIP: the controller dials its endpoints itself", name));
    return told;
  }
  Question inner;
  inner.address = service->cluster_ips.front();
  inner.port = port->port;
  inner.protocol = port->protocol;
  inner.text = rules::join_host_port(*inner.address, inner.port);
  if (way != nullptr && way->pod_address && way->pod_address->family == inner.address->family)
    inner.from = way->pod_address;
  auto explained = explain(context, inner);
  if (!explained) return told;
  told.way = std::make_unique<Answer>(std::move(*explained));
  const auto has = [&](const char* code) {
    return std::ranges::any_of(told.way->findings, [&](const Finding& one) { return one.code == code; });
  };
  const ClientView& client = told.way->client;
  if (has("no-ready-endpoint") || has("selector-matches-nothing") || has("port-name-mismatch")) {
    told.client = {"http-503", "503 (some controllers: 502) from the controller: no endpoint"};
  } else if (client.code == "answer" || client.code == "local") {
    told.client = {"answer", "an answer from the application; 502 if nothing in the pod listens on the target port"};
  } else if (client.code == "mixed" || client.code == "unknown") {
    told.client = {"unknown", "whether the controller reaches the Service: " + client.text};
  } else {
    told.client = {"http-502", "502 or 504 from the controller: it does not reach the Service"};
  }
  return told;
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
  add(answer, match.doubts.empty() ? Weight::kProblem : Weight::kRemark, "ingress-no-match",
      fmt::format("no Ingress has a rule for {}{}{}", base::one_line(question.host), base::one_line(question.path),
                  is_no_gateway ? ", and no Gateway listens for it" : ""),
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
    add(answer, Weight::kProblem, "ingress-without-backend",
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

void add_route_doubts(std::vector<std::string> doubts, Answer& answer) {
  if (!doubts.empty())
    add(answer, Weight::kRemark, "route-not-judged",
        "what may lead the request elsewhere, and cannot be told from a URL or is the controller's own",
        std::move(doubts));
}

/// A Gateway listens for the request, and no rule of an HTTPRoute surely takes it.
void explain_no_route(const ExplainContext& context, const RouteFound& found, bool reached, Answer& answer) {
  const Question& question = answer.question;
  std::vector<std::string> lines;
  for (const objects::HttpRoute* route : context.inventory.all<objects::HttpRoute>()) {
    std::string hosts;
    for (const std::string& host : route->hostnames) hosts += (hosts.empty() ? "" : ", ") + base::one_line(host);
    std::set<std::string> paths;
    for (const objects::RouteRule& rule : route->rules) {
      if (rule.matches.empty()) paths.insert("/");
      for (const objects::RouteMatch& match : rule.matches) paths.insert(base::one_line(match.path));
    }
    for (const std::string& path : paths)
      lines.push_back(fmt::format("{}: {}  {}", route->key.to_string(), hosts.empty() ? "*" : hosts, path));
  }
  add(answer, found.doubts.empty() ? Weight::kProblem : Weight::kRemark, "route-no-match",
      fmt::format("a Gateway listens for it, and no HTTPRoute there has a rule for {}{}", base::one_line(question.host),
                  base::one_line(question.path)),
      std::move(lines));
  add_route_doubts(found.doubts, answer);
  if (reached && found.doubts.empty()) answer.client = {"http-404", "404 from the controller"};
  if (reached && !found.doubts.empty())
    answer.client = {"unknown", "404 from the controller, if none of the rules that cannot be judged takes it"};
}

/// What a client sees of several Services together.
ClientView client_of(const std::vector<std::pair<std::string, ClientView>>& views) {
  const auto& [first_name, first] = views.front();
  if (std::ranges::all_of(views, [&](const auto& one) { return one.second.code == first.code; })) return first;
  std::string text;
  for (const auto& [name, view] : views) text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", name, view.text);
  return {"mixed", text};
}

/// The Services behind a rule of an HTTPRoute. What is not known of them is added to `doubts`.
ClientView explain_route_backends(const ExplainContext& context, const RouteFound& found, const WayIn* way,
                                  Answer& answer, std::vector<std::string>& doubts) {
  constexpr std::size_t kMost = 16;  // of the API's schema
  const std::string owner = "HTTPRoute " + found.route->key.to_string();
  ClientView broken{"http-500", "500 from the controller"};
  std::vector<const objects::RouteBackend*> backends;
  std::uint64_t sum = 0;
  for (const objects::RouteBackend& one : found.rule->backends) {
    if (one.weight != 0) backends.push_back(&one);
    sum += one.weight;
  }
  if (backends.empty()) {
    add(answer, Weight::kProblem, "route-without-backend",
        fmt::format("the rule of {} has no backend{}", owner,
                    found.rule->backends.empty() ? "" : " with a weight above 0"));
    return broken;
  }
  if (backends.size() > kMost) {
    doubts.push_back(fmt::format("{} has {} backends, of which {} are looked at", owner, backends.size(), kMost));
    backends.resize(kMost);
  }
  std::vector<std::string> shares;
  std::vector<std::pair<std::string, ClientView>> views;
  for (const objects::RouteBackend* one : backends) {
    const Target target{
        .owner = owner, .kind = "route", .service = one->service, .port = one->port, .port_name = {}, .broken = broken};
    const bool is_service = !one->service.name.empty();
    const std::string name = is_service ? target.to_string() : "a backend that is no Service";
    shares.push_back(fmt::format("{:.3g} % {}", 100.0 * one->weight / static_cast<double>(sum), name));
    if (!is_service) {
      doubts.push_back(fmt::format("{}: {}", owner, name));
      views.emplace_back(name, ClientView{"unknown", "what the controller's own backend answers"});
      continue;
    }
    Told told = explain_backend(context, target, way, answer);
    if (one->service.ns != found.route->key.ns) {
      add(answer, Weight::kRemark, "reference-grant-not-checked",
          fmt::format(
              "{} sends to Service {} of another namespace: 500 from the controller, if no ReferenceGrant there "
              "allows it",
              owner, one->service.to_string()));
      if (told.client.code != broken.code)
        told.client = {"unknown", "500 from the controller, if no ReferenceGrant allows it; else: " + told.client.text};
    }
    views.emplace_back(name, std::move(told.client));
    if (answer.ingress->backend.empty()) {
      answer.ingress->backend = name;
      answer.backend = std::move(told.way);
    } else if (told.way != nullptr) {
      for (Finding& finding : told.way->findings)
        add(answer, finding.weight, finding.code, fmt::format("on the way to {}: {}", name, finding.text),
            std::move(finding.details));
    }
  }
  if (shares.size() > 1)
    add(answer, Weight::kRemark, "route-backends-weighted",
        fmt::format("{} shares its requests out among several backends", owner), std::move(shares));
  return client_of(views);
}

void explain_route(const ExplainContext& context, const RouteFound& found, const WayIn* way, bool reached,
                   Answer& answer) {
  const objects::Gateway& gateway = *found.gateway;
  const bool has_class = context.inventory.find<objects::GatewayClass>({"", gateway.class_name}) != nullptr;
  IngressAnswer& told = *answer.ingress;
  told.kind = "HTTPRoute";
  told.ingress = found.route->key.to_string();
  told.host = found.host;
  told.path = found.path;
  told.path_type = found.path_type;
  told.ingress_class = has_class ? gateway.class_name : std::string();
  told.gateway = fmt::format("{}, listener {}", gateway.key.to_string(), found.listener);
  if (!has_class)
    add(answer, Weight::kProblem, "gateway-class-unknown",
        fmt::format("Gateway {} names the class {}, and there is no such GatewayClass", gateway.key.to_string(),
                    base::in_quotes(gateway.class_name)));
  std::vector<std::string> doubts = found.doubts;
  if (found.rule->extended)
    doubts.push_back(
        fmt::format("HTTPRoute {}: the rule has a filter of the controller's own (ExtensionRef)", told.ingress));
  ClientView client{"redirect", "a redirect from the controller"};
  if (!found.rule->redirects) client = explain_route_backends(context, found, way, answer, doubts);
  const bool is_doubtful = !doubts.empty();
  add_route_doubts(std::move(doubts), answer);
  if (!reached) return;
  if (!has_class) {
    client = {"unknown", "no controller serves this Gateway: 404 or whatever else answers there"};
  } else if (is_doubtful) {
    client = {"unknown", "what the controller does with the request is not known here; most likely: " + client.text};
  }
  answer.client = std::move(client);
}

/// What the request is for a Gateway. Behind a NodePort or a port mapping its port is not the listener's.
RouteRequest route_request(const ExplainContext& context, const Question& question, const WayIn* way) {
  RouteRequest request{.host = question.host, .path = question.path, .tls = question.tls, .ports = {question.port}};
  if (way != nullptr) {
    request.address = way->address;
    request.ports.push_back(way->port);
    if (way->service_port != 0) request.ports.push_back(way->service_port);
  }
  if (!has_listener(context.inventory, request)) request.ports.clear();
  return request;
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
    add(answer, Weight::kRemark, "ingress-or-gateway",
        "whether a controller of Ingresses or one of Gateways answers is not known here",
        {match.ingress != nullptr ? "Ingress " + match.ingress->key.to_string() : match.doubts.front(),
         found.route != nullptr
             ? fmt::format("HTTPRoute {} at Gateway {}", found.route->key.to_string(), found.gateway->key.to_string())
         : by_route ? found.doubts.front()
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
    add(answer, Weight::kProblem, "no-way-in",
        fmt::format("no hostPort, NodePort or load balancer address of this node has port {}", question.port));
    answer.client = {"refused", "connection refused, or no answer"};
  } else if (way->mapped) {
    add(answer, Weight::kRemark, "port-mapped",
        fmt::format("port {} is not of this node; taken as mapped to its port {} by something in front", question.port,
                    way->port));
  }
  const bool reached = way && (answer.client.code == "answer" || answer.client.code == "local");

  explain_rule(context, way ? &*way : nullptr, reached, answer);
  return answer;
}

}  // namespace kubenatd::agent::explain
