#include "agent/trace/prediction.h"

#include <fmt/format.h>

#include "agent/explain/show.h"

namespace kubenatd::agent::trace {
namespace {

Prediction::End to_end(const explain::PathEnd& from) {
  Prediction::End end;
  end.kind = explain::name_of(from.end);
  end.destination = from.destination;
  end.port = from.port;
  end.odds = from.odds;
  end.odds_known = from.odds_known;
  end.remembered = from.remembered;
  end.masqueraded = from.masqueraded;
  end.source_may_stay = from.source_may_stay;
  end.who = from.who;
  end.cause = explain::name_of(from.cause);
  end.last_destination = from.last_destination;
  end.last_port = from.last_port;
  return end;
}

}  // namespace

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
  prediction.is_open = answer.is_incomplete;
  for (const explain::PathEnd& end : answer.ends) prediction.ends.push_back(to_end(end));
  prediction.client_code = answer.client.code;
  prediction.client_text = answer.client.text;
  for (const explain::Finding& finding : answer.findings) prediction.findings.emplace_back(finding.code, finding.text);
  return prediction;
}

std::string to_text(const Prediction::End& end) {
  if (end.kind != "forwarded" && end.kind != "local") return end.kind == "unknown" ? "cannot be told" : end.kind;
  std::string text = rules::join_host_port(end.destination, end.port);
  if (end.last_destination || end.last_port)
    text += " to " +
            rules::join_host_port(end.last_destination.value_or(end.destination), end.last_port.value_or(end.port));
  return text + (end.masqueraded ? ", masqueraded" : "");
}

}  // namespace kubenatd::agent::trace
