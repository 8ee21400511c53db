#include <nlohmann/json.hpp>

#include "agent/trace/show.h"

namespace kubenatd::agent::trace {
namespace {

using Json = nlohmann::ordered_json;
using Type = TraceEvent::Type;

std::string_view name_of(Type type) {
  switch (type) {
    case Type::kPolicy: return "policy";
    case Type::kReturn: return "return";
    case Type::kRule: return "rule";
    case Type::kOther: return "other";
  }
  return "";
}

Json header_json(const TracedHeader& header) {
  Json json{{"protocol", header.protocol}, {"source", header.source.to_string()}};
  if (header.source_port) json["sourcePort"] = *header.source_port;
  json["destination"] = header.destination.to_string();
  if (header.destination_port) json["port"] = *header.destination_port;
  if (const std::string flags = tcp_flags(header); !flags.empty()) json["tcpFlags"] = flags;
  if (header.icmp_type) json["icmpType"] = *header.icmp_type;
  if (header.icmp_code) json["icmpCode"] = *header.icmp_code;
  return json;
}

void put_interface(Json& json, const char* key, const Report& report, std::uint32_t index) {
  if (index == 0) return;
  const auto& name = report.circumstances.interface_name;
  const std::string text = name ? name(index) : std::string();
  json[key] = text.empty() ? std::to_string(index) : text;
}

Json step_json(const Report& report, const Passage& passage, const Step& step) {
  Json json{{"type", name_of(step.type)}, {"chain", step.chain}, {"verdict", netlink::trace::name_of(step.verdict)}};
  if (step.rule) {
    json["handle"] = *step.rule;
    const auto* rule = report.names->rule(passage.family, passage.table, step.chain, *step.rule);
    if (rule != nullptr) {
      json["rule"] = rule->text;
      if (refuses(*rule)) json["rejects"] = true;
    }
  }
  if (!step.jump.empty()) json["to"] = step.jump;
  if (step.mark != 0) json["mark"] = step.mark;
  return json;
}

Json passage_json(const Report& report, const Passage& passage) {
  Json json{{"family", family_name(passage.family)}, {"table", passage.table}, {"chain", passage.chain}};
  if (const auto* base = report.names->base(passage.family, passage.table, passage.chain)) {
    json["hook"] = rules::walk::name_of(base->hook);
    json["priority"] = base->priority;
  }
  put_interface(json, "in", report, passage.in_index);
  put_interface(json, "out", report, passage.out_index);
  if (passage.header) json["packet"] = header_json(*passage.header);
  json["steps"] = Json::array();
  for (const Step& step : passage.steps) json["steps"].push_back(step_json(report, passage, step));
  return json;
}

Json packet_json(const Report& report, const PacketReport& one) {
  const Packet& packet = report.journal->packets()[one.packet];
  Json json{{"direction", packet.reply ? "reply" : "original"}};
  if (one.number != 0) json["number"] = one.number;
  json["connection"] = packet.in_connection + 1;
  if (const auto state = state_name(packet); !state.empty()) json["state"] = state;
  json["sentByNode"] = packet.sent_here;
  put_interface(json, "in", report, packet.in_index);
  json["first"] = header_json(packet.first);
  json["last"] = header_json(packet.last);
  json["hops"] = Json::array();
  for (const Passage& passage : packet.passages) json["hops"].push_back(passage_json(report, passage));
  if (packet.cut) json["cut"] = true;
  json["end"] = {{"end", end_code(packet, *report.names)}, {"text", end_words(packet, *report.names)}};
  if (packet.end == Packet::End::kLeft) put_interface(json["end"], "out", report, packet.out_index);
  if (one.number == 0) return json;
  json["compared"] = {{"outcome", name_of(one.comparison.outcome)}};
  if (!one.comparison.why.empty()) json["compared"]["why"] = one.comparison.why;
  if (one.prediction) json["compared"]["prediction"] = *one.prediction;
  if (one.comparison.end) json["compared"]["end"] = *one.comparison.end;
  return json;
}

Json prediction_json(const Prediction& prediction) {
  Json json{
      {"source", prediction.source.to_string()},           {"from", prediction.from}, {"rules", prediction.rules},
      {"destination", prediction.destination.to_string()}, {"port", prediction.port}, {"subject", prediction.subject}};
  json["ends"] = Json::array();
  for (const auto& end : prediction.ends) {
    Json one{{"end", end.kind},
             {"address", end.destination.to_string()},
             {"port", end.port},
             {"cause", end.cause},
             {"odds", end.odds},
             {"oddsKnown", end.odds_known},
             {"remembered", end.remembered},
             {"masqueraded", end.masqueraded}};
    if (end.last_destination) one["lastAddress"] = end.last_destination->to_string();
    if (end.last_port) one["lastPort"] = *end.last_port;
    if (!end.who.empty()) one["who"] = end.who;
    json["ends"].push_back(std::move(one));
  }
  json["client"] = {{"code", prediction.client_code}, {"text", prediction.client_text}};
  json["findings"] = Json::array();
  for (const auto& [code, text] : prediction.findings) json["findings"].push_back({{"code", code}, {"text", text}});
  return json;
}

Json connection_json(const Connection& connection) {
  Json json{{"original", header_json(connection.original)}};
  if (connection.id) json["id"] = *connection.id;
  if (connection.translated) json["translated"] = header_json(*connection.translated);
  return json;
}

}  // namespace

std::string to_json(const Report& report) {
  const Circumstances& around = report.circumstances;
  Json json{{"schema", "kubenatd.trace/v1"},
            {"question", around.question},
            {"traced",
             {{"protocol", rules::name_of(around.protocol)},
              {"destination", around.destination.to_string()},
              {"port", around.port}}}};
  if (!around.source.empty()) json["traced"]["source"] = around.source;
  if (around.connect)
    json["connect"] = {{"from", around.connect_from}, {"code", around.connect->code}, {"text", around.connect->text}};
  json["conclusion"] = name_of(conclude(report));
  json["predictions"] = Json::array();
  for (const Prediction& prediction : report.predictions) json["predictions"].push_back(prediction_json(prediction));
  json["packets"] = Json::array();
  for (const PacketReport& one : report.packets) json["packets"].push_back(packet_json(report, one));
  json["connections"] = Json::array();
  for (const Connection& one : report.journal->connections()) json["connections"].push_back(connection_json(one));
  json["findings"] = Json::array();
  for (const explain::Finding& finding : report.findings)
    json["findings"].push_back({{"code", finding.code},
                                {"weight", finding.weight == explain::Finding::Weight::kProblem ? "problem" : "remark"},
                                {"text", finding.text},
                                {"details", finding.details}});
  json["counters"] = {{"packets", report.journal->seen()},
                      {"wanted", around.wanted},
                      {"answers", report.packets.size() - report.journal->seen()},
                      {"answersOfUnseenConnections", report.journal->unjoined()}};
  // Names of others may hold bytes that are no UTF-8.
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace kubenatd::agent::trace
