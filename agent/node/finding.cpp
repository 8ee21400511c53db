#include "agent/node/finding.h"

#include <fmt/format.h>

namespace kubenatd::agent::node {

using config::Config;

std::string_view name_of(State state) {
  switch (state) {
    case State::kYes: return "yes";
    case State::kWarning: return "warning";
    case State::kMissing: return "missing";
    case State::kUnknown: break;
  }
  return "unknown";
}

State verdict_on(Config::Mode mode, const Findings& findings) {
  State verdict = State::kYes;
  for (const Finding& finding : findings) {
    if (finding.mode && *finding.mode != mode) continue;
    if (finding.state == State::kMissing) return State::kMissing;
    // What is only around the mode does not decide about it.
    if (finding.state == State::kUnknown && finding.mode) verdict = State::kUnknown;
  }
  return verdict;
}

std::string describe(const Finding& finding) {
  std::string text;
  const auto add = [&](std::string_view separator, std::string_view part) {
    if (part.empty()) return;
    if (!text.empty()) text += separator;
    text += part;
  };
  if (finding.mode) add(" ", name_of(*finding.mode));
  if (finding.family) add(" ", *finding.family == rules::Family::kIpv4 ? "ipv4" : "ipv6");
  add(" ", finding.name);
  add(": ", finding.what);
  if (finding.state != State::kYes && !finding.option.empty())
    add("; ", fmt::format("{}, module {}, Linux {} and later", finding.option, finding.module, finding.since));
  add("; ", finding.remedy);
  return text;
}

}  // namespace kubenatd::agent::node
