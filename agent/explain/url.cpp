#include "agent/explain/url.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/base/printable.h"
#include "agent/explain/diagnose.h"
#include "agent/explain/explain.h"
#include "agent/explain/identify.h"
#include "agent/explain/ingress_match.h"

namespace kubenatd::agent::explain {
namespace {

using Weight = Finding::Weight;

constexpr std::uint16_t kHttp = 80;
constexpr std::uint16_t kHttps = 443;

/// Where a request enters this node on its way to the Ingress controller.
struct WayIn {
  std::optional<rules::Address> address;  ///< none: the node's
  std::uint16_t port = 0;
  std::string controller;
  std::optional<rules::Address> pod_address;  ///< of the controller, to come from on the second part of the way
  bool mapped = false;                        ///< the URL's port is none of this node's: something in front maps it
};

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
        WayIn way{.address = std::nullopt, .port = port, .controller = "Service " + view.name, .pod_address = {}};
        for (const rules::Endpoint& endpoint : view.endpoints)
          if (endpoint.is_ready && !way.pod_address) way.pod_address = endpoint.address;
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

const objects::ServicePort* port_of(const objects::Service& service, const objects::IngressBackend& backend) {
  for (const objects::ServicePort& port : service.ports)
    if (backend.port_name.empty() ? port.port == backend.port : port.name == backend.port_name) return &port;
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

/// From the controller to the Service behind the rule.
void explain_backend(const ExplainContext& context, const IngressMatch& match, const WayIn* way, Answer& answer) {
  const objects::IngressBackend& backend = *match.backend;
  const std::string name = match.ingress->key.to_string();
  if (backend.service.empty()) {
    add(answer, Weight::kProblem, "ingress-without-backend",
        fmt::format("the rule of Ingress {} has no Service behind it", name));
    answer.client = {"http-503", "503 from the controller"};
    return;
  }
  const objects::ObjectKey key{match.ingress->key.ns, backend.service};
  const objects::Service* service = context.inventory.find<objects::Service>(key);
  if (service == nullptr) {
    add(answer, Weight::kProblem, "ingress-backend-missing",
        fmt::format("Ingress {} sends to Service {}, which does not exist", name, key.to_string()));
    answer.client = {"http-503", "503 from the controller"};
    return;
  }
  const objects::ServicePort* port = port_of(*service, backend);
  if (port == nullptr) {
    add(answer, Weight::kProblem, "ingress-backend-port",
        fmt::format("Ingress {} sends to port {} of Service {}, which has no such port", name,
                    backend.port_name.empty() ? std::to_string(backend.port) : base::in_quotes(backend.port_name),
                    key.to_string()));
    answer.client = {"http-503", "503 from the controller"};
    return;
  }
  if (service->cluster_ips.empty()) {
    add(answer, Weight::kRemark, "backend-headless",
        fmt::format("Service {} has no ClusterIP: the controller dials its endpoints itself", key.to_string()));
    return;
  }
  Question inner;
  inner.address = service->cluster_ips.front();
  inner.port = port->port;
  inner.protocol = port->protocol;
  inner.text = rules::join_host_port(*inner.address, inner.port);
  if (way != nullptr && way->pod_address && way->pod_address->family == inner.address->family)
    inner.from = way->pod_address;
  auto told = explain(context, inner);
  if (!told) return;
  answer.backend = std::make_unique<Answer>(std::move(*told));
  const auto has = [&](const char* code) {
    return std::ranges::any_of(answer.backend->findings, [&](const Finding& one) { return one.code == code; });
  };
  if (has("no-ready-endpoint") || has("selector-matches-nothing") || has("port-name-mismatch")) {
    answer.client = {"http-503", "503 (some controllers: 502) from the controller: no endpoint"};
  } else if (answer.backend->client.code == "answer" || answer.backend->client.code == "local") {
    answer.client = {"answer", "an answer from the application; 502 if nothing in the pod listens on the target port"};
  } else if (answer.backend->client.code == "mixed" || answer.backend->client.code == "unknown") {
    answer.client = {"unknown", "whether the controller reaches the Service: " + answer.backend->client.text};
  } else {
    answer.client = {"http-502", "502 or 504 from the controller: it does not reach the Service"};
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

  const IngressMatch match = match_ingress(context.inventory, question.host, question.path);
  answer.ingress.emplace();
  answer.ingress->controller = way ? way->controller : std::string();
  if (match.ingress == nullptr) {
    std::vector<std::string> lines;
    for (const objects::Ingress* ingress : context.inventory.all<objects::Ingress>())
      for (const objects::IngressRule& rule : ingress->rules)
        for (const objects::IngressPath& path : rule.paths)
          lines.push_back(fmt::format("{}: {}{}", ingress->key.to_string(),
                                      rule.host.empty() ? "*" : base::one_line(rule.host), base::one_line(path.path)));
    add(answer, match.doubts.empty() ? Weight::kProblem : Weight::kRemark, "ingress-no-match",
        fmt::format("no Ingress has a rule for {}{}", base::one_line(question.host), base::one_line(question.path)),
        std::move(lines));
    add_doubts(match, answer);
    if (reached && match.doubts.empty()) answer.client = {"http-404", "404 from the controller"};
    if (reached && !match.doubts.empty())
      answer.client = {"unknown", "404 from the controller, if no rule fits that it reads in a way of its own"};
    return answer;
  }
  answer.ingress->ingress = match.ingress->key.to_string();
  answer.ingress->host = match.host;
  answer.ingress->path = match.path;
  answer.ingress->path_type = match.path_type;
  answer.ingress->ingress_class = match.ingress_class != nullptr ? match.ingress_class->key.name : std::string();
  if (!match.backend->service.empty())
    answer.ingress->backend =
        fmt::format("{}/{}:{}", match.ingress->key.ns, match.backend->service,
                    match.backend->port_name.empty() ? std::to_string(match.backend->port) : match.backend->port_name);
  check_class(context, match, answer);
  const ClientView before = answer.client;
  explain_backend(context, match, way ? &*way : nullptr, answer);
  if (!reached) answer.client = before;  // the controller does not even hear of it
  add_doubts(match, answer);
  const bool is_served = match.ingress_class != nullptr || is_of_ingress_nginx(context.inventory, *match.ingress);
  if (reached && !is_served && !match.ingress->class_by_annotation) {
    answer.client = {"http-404", "404 from the controller"};
  } else if (reached && !is_served) {
    answer.client = {"unknown", "404 from the controller, if it was not told this class; else: " + answer.client.text};
  } else if (reached && !match.doubts.empty()) {
    answer.client = {"unknown",
                     "what the controller does with the request is not known here; most likely: " + answer.client.text};
  }
  return answer;
}

}  // namespace kubenatd::agent::explain
