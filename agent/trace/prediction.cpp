#include "agent/trace/prediction.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/explain/show.h"

namespace kubenatd::agent::trace {

Prediction to_prediction(const explain::Answer& answer) {
  Prediction prediction;
  prediction.source = answer.packet.source;
  prediction.destination = answer.packet.destination;
  prediction.port = answer.packet.destination_port;
  prediction.protocol = answer.packet.protocol;
  prediction.rules = answer.source;
  prediction.from = answer.from;
  if (answer.subject.kind != explain::Subject::Kind::kNone)
    prediction.subject = fmt::format("{} of {}", explain::name_of(answer.subject.kind), answer.subject.name);
  prediction.in_doubt = answer.in_doubt;
  for (const explain::PathEnd& end : answer.ends)
    prediction.ends.push_back({std::string(explain::name_of(end.end)), end.destination, end.port, end.odds,
                               end.odds_known, end.remembered, end.masqueraded, end.who});
  prediction.client_code = answer.client.code;
  prediction.client_text = answer.client.text;
  for (const explain::Finding& finding : answer.findings) prediction.findings.emplace_back(finding.code, finding.text);
  return prediction;
}

std::string to_text(const Prediction::End& end) {
  if (end.kind != "forwarded" && end.kind != "local") return end.kind == "unknown" ? "cannot be told" : end.kind;
  return rules::join_host_port(end.destination, end.port) + (end.masqueraded ? ", masqueraded" : "");
}

}  // namespace kubenatd::agent::trace
