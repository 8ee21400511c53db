#include "agent/explain/url_route.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "agent/base/printable.h"
#include "agent/explain/diagnose.h"

namespace kubenatd::agent::explain {
namespace {

using Weight = Finding::Weight;

void add_route_doubts(std::vector<std::string> doubts, Answer& answer) {
  if (!doubts.empty())
    add_finding(answer, Weight::kRemark, "route-not-judged",
                "what may lead the request elsewhere, and cannot be told from a URL or is the controller's own",
                std::move(doubts));
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
    add_finding(answer, Weight::kProblem, "route-without-backend",
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
      add_finding(
          answer, Weight::kRemark, "reference-grant-not-checked",
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
        add_finding(answer, finding.weight, finding.code, fmt::format("on the way to {}: {}", name, finding.text),
                    std::move(finding.details));
    }
  }
  if (shares.size() > 1)
    add_finding(answer, Weight::kRemark, "route-backends-weighted",
                fmt::format("{} shares its requests out among several backends", owner), std::move(shares));
  return client_of(views);
}

}  // namespace

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
  add_finding(answer, found.doubts.empty() ? Weight::kProblem : Weight::kRemark, "route-no-match",
              fmt::format("a Gateway listens for it, and no HTTPRoute there has a rule for {}{}",
                          base::one_line(question.host), base::one_line(question.path)),
              std::move(lines));
  add_route_doubts(found.doubts, answer);
  if (reached && found.doubts.empty()) answer.client = {"http-404", "404 from the controller"};
  if (reached && !found.doubts.empty())
    answer.client = {"unknown", "404 from the controller, if none of the rules that cannot be judged takes it"};
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
    add_finding(answer, Weight::kProblem, "gateway-class-unknown",
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

}  // namespace kubenatd::agent::explain
