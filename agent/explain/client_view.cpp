#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>

#include "agent/explain/diagnose.h"

namespace kubenatd::agent::explain {
namespace {

using rules::walk::Cause;
using rules::walk::End;
using Target = Subject::Kind;

struct View {
  const char* code;
  std::string words;
};

View view_of_rejected(const PathEnd& end) {
  switch (end.cause) {
    case Cause::kRules: break;
    case Cause::kForwardingOff: return {"timeout", "no answer: a timeout"};
    default: return {"refused", "the node itself answers at once that the destination cannot be reached"};
  }
  if (end.refused_with.empty() || end.refused_with == "tcp-reset" || end.refused_with.ends_with("port-unreachable"))
    return {"refused", "connection refused, at once"};
  return {"refused",
          fmt::format("refused at once ({}): for most programs \"no route to host\" or the like", end.refused_with)};
}

View view_of(const PathEnd& end, Target kind) {
  switch (end.end) {
    case End::kRejected: return view_of_rejected(end);
    case End::kDropped: return {"timeout", "no answer: a timeout"};
    case End::kUnknown:
      return {"unknown", end.cause == Cause::kRouteUnknown ? "where the packet is routed to is not known"
                                                           : "a rule decides that cannot be followed here"};
    case End::kLocal:
      if (kind == Target::kHostPort && !end.destination_changed)
        return {"refused", "connection refused: the hostPort has no rule, and its pod has a network of its own"};
      return {"local", "an answer if a process of this node listens there, else connection refused"};
    case End::kForwarded:
      if (end.neighbour_failed)
        return {"unknown", "the next hop did not answer lately: most likely no route to host, after a while"};
      if (end.destination_changed || kind == Target::kPod)
        return {"answer", "an answer from the pod, or connection refused if nothing in it listens on the port"};
      return {"not-here", "no rule of this node answers for it; it goes on into the network, most likely to a timeout"};
  }
  return {"unknown", {}};
}

bool is_good(const std::string& code) {
  return code == "answer" || code == "local" || code == "not-here";
}

}  // namespace

ClientView client_view(const Identity& identity, const Answer& answer) {
  std::set<std::string> codes;
  std::set<std::string> said;
  std::string text;
  for (const PathEnd& end : answer.ends) {
    if (end.remembered) continue;
    const View view = view_of(end, identity.subject.kind);
    codes.insert(view.code);
    if (said.insert(view.words).second) text += (text.empty() ? "" : "; ") + view.words;
  }
  if (codes.empty()) return {"unknown", "no way of the packet could be followed"};
  if (answer.is_doubtful) text += "; which way it goes, rules decide that cannot be judged here";
  if (codes.size() > 1 || answer.is_doubtful)
    return {codes.size() == 1 && codes.contains("unknown") ? "unknown" : "mixed", text};
  const std::string code = *codes.begin();
  if (!is_good(code)) return {code, text};
  if (answer.is_contradicted) return {"unknown", "known connections go elsewhere; by the rules: " + text};
  if (answer.is_incomplete) return {"unknown", "not all that could decide was looked at; by what was: " + text};
  return {code, text};
}

}  // namespace kubenatd::agent::explain
