#include <nlohmann/json.hpp>

#include "agent/explain/show.h"

namespace kubenatd::agent::explain {
namespace {

using Json = nlohmann::ordered_json;

Json step_json(const PathStep& step) {
  Json json{{"table", step.table}, {"chain", step.chain}, {"rule", step.rule}, {"matched", step.matched}};
  if (!step.family.empty()) json["family"] = step.family;
  if (!step.hook.empty()) json["hook"] = step.hook;
  if (step.handle != 0) json["handle"] = step.handle;
  if (step.legacy) json["legacy"] = true;
  if (!step.why.empty()) json["why"] = step.why;
  if (step.foreign) json["foreign"] = true;
  if (step.idle) json["idle"] = true;
  if (step.counters) json["counters"] = {{"packets", step.counters->packets}, {"bytes", step.counters->bytes}};
  return json;
}

Json steps_json(const std::vector<PathStep>& steps) {
  Json json = Json::array();
  for (const PathStep& step : steps) json.push_back(step_json(step));
  return json;
}

Json end_json(const PathEnd& end) {
  Json json{{"end", name_of(end.end)},
            {"odds", end.odds},
            {"oddsKnown", end.odds_known},
            {"remembered", end.remembered},
            {"address", end.destination.to_string()},
            {"port", end.port},
            {"destinationChanged", end.destination_changed},
            {"masqueraded", end.masqueraded}};
  json["cause"] = name_of(end.cause);
  if (end.last_destination) json["lastAddress"] = end.last_destination->to_string();
  if (end.last_port) json["lastPort"] = *end.last_port;
  if (!end.refused_with.empty()) json["refusedWith"] = end.refused_with;
  if (!end.who.empty()) json["who"] = end.who;
  json["steps"] = steps_json(end.steps);
  return json;
}

Json answer_json(const Answer& answer) {
  const auto& packet = answer.packet;
  Json json{{"schema", "kubenatd.explain/v1"},
            {"question", answer.question.text},
            {"source", answer.source},
            {"destination", {{"kind", name_of(answer.subject.kind)}, {"name", answer.subject.name}}}};
  if (packet.destination_port != 0)
    json["packet"] = {{"protocol", name_of(packet.protocol)},
                      {"source", packet.source.to_string()},
                      {"from", answer.from},
                      {"destination", packet.destination.to_string()},
                      {"port", packet.destination_port}};
  json["steps"] = steps_json(answer.steps);
  json["ends"] = Json::array();
  for (const PathEnd& end : answer.ends) json["ends"].push_back(end_json(end));
  if (!answer.masquerade.empty()) json["masquerade"] = answer.masquerade;
  json["findings"] = Json::array();
  for (const Finding& finding : answer.findings)
    json["findings"].push_back({{"code", finding.code},
                                {"weight", finding.weight == Finding::Weight::kProblem ? "problem" : "remark"},
                                {"text", finding.text},
                                {"details", finding.details}});
  json["differences"] = Json::array();
  for (const PathDifference& one : answer.differences)
    json["differences"].push_back({{"table", one.table},
                                   {"chain", one.chain},
                                   {"what", one.sign == '+' ? "missing" : "unwanted"},
                                   {"rule", one.rule}});
  json["connections"] = Json::array();
  for (const KnownFlow& flow : answer.flows)
    json["connections"].push_back({{"original", flow.original}, {"servedBy", flow.served_by}});
  json["client"] = {{"code", answer.client.code}, {"text", answer.client.text}};
  if (answer.ingress)
    json["ingress"] = {{"kind", answer.ingress->kind},
                       {"name", answer.ingress->ingress},
                       {"class", answer.ingress->ingress_class},
                       {"host", answer.ingress->host},
                       {"path", answer.ingress->path},
                       {"pathType", answer.ingress->path_type},
                       {"gateway", answer.ingress->gateway},
                       {"backend", answer.ingress->backend},
                       {"controller", answer.ingress->controller}};
  if (answer.backend) json["backend"] = answer_json(*answer.backend);
  return json;
}

}  // namespace

std::string_view name_of(Subject::Kind kind) {
  switch (kind) {
    case Subject::Kind::kNone: return "unknown";
    case Subject::Kind::kClusterIp: return "ClusterIP";
    case Subject::Kind::kExternalIp: return "externalIP";
    case Subject::Kind::kLoadBalancerIp: return "LoadBalancerIP";
    case Subject::Kind::kNodePort: return "NodePort";
    case Subject::Kind::kHostPort: return "hostPort";
    case Subject::Kind::kHealthCheck: return "healthCheckNodePort";
    case Subject::Kind::kPod: return "pod";
    case Subject::Kind::kNode: return "node";
  }
  return "";
}

std::string_view name_of(rules::walk::End end) {
  using rules::walk::End;
  switch (end) {
    case End::kForwarded: return "forwarded";
    case End::kLocal: return "local";
    case End::kDropped: return "dropped";
    case End::kRejected: return "rejected";
    case End::kUnknown: return "unknown";
  }
  return "";
}

std::string_view name_of(rules::walk::Cause cause) {
  using rules::walk::Cause;
  switch (cause) {
    case Cause::kRules: return "rules";
    case Cause::kForwardingOff: return "forwarding-off";
    case Cause::kNoRoute: return "no-route";
    case Cause::kUnreachableRoute: return "unreachable-route";
    case Cause::kProhibitRoute: return "prohibit-route";
    case Cause::kBlackholeRoute: return "blackhole-route";
    case Cause::kReversePath: return "reverse-path";
    case Cause::kMartian: return "martian";
    case Cause::kRouteUnknown: return "route-unknown";
  }
  return "";
}

std::string to_json(const Answer& answer) {
  // Rules of others may hold bytes that are no UTF-8.
  return answer_json(answer).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace kubenatd::agent::explain
