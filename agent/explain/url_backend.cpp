#include "agent/explain/url_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/base/printable.h"
#include "agent/explain/diagnose.h"
#include "agent/explain/explain.h"

namespace kubenatd::agent::explain {
namespace {

using Weight = Finding::Weight;

const objects::ServicePort* port_of(const objects::Service& service, const Target& target) {
  for (const objects::ServicePort& port : service.ports)
    if (target.port_name.empty() ? port.port == target.port : port.name == target.port_name) return &port;
  return nullptr;
}

}  // namespace

Told explain_backend(const ExplainContext& context, const Target& target, const WayIn* way, Answer& answer) {
  Told told{answer.client, nullptr};
  const std::string name = target.service.to_string();
  const objects::Service* service = context.inventory.find<objects::Service>(target.service);
  if (service == nullptr) {
    add_finding(answer, Weight::kProblem, target.kind + "-backend-missing",
                fmt::format("{} sends to Service {}, which does not exist", target.owner, name));
    told.client = target.broken;
    return told;
  }
  const objects::ServicePort* port = port_of(*service, target);
  if (port == nullptr) {
    add_finding(
        answer, Weight::kProblem, target.kind + "-backend-port",
        target.port == 0 && target.port_name.empty()
            ? fmt::format("{} sends to Service {} and names no port of it", target.owner, name)
            : fmt::format("{} sends to port {} of Service {}, which has no such port", target.owner,
                          target.port_name.empty() ? std::to_string(target.port) : base::in_quotes(target.port_name),
                          name));
    told.client = target.broken;
    return told;
  }
  if (service->cluster_ips.empty()) {
    add_finding(answer, Weight::kRemark, "backend-headless",
                fmt::format("Service {} has no ClusterIP{}: the controller dials its endpoints itself", name,
                            service->headless ? "" : " yet"));
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

}  // namespace kubenatd::agent::explain
