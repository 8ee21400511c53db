#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <variant>

#include "agent/explain/diagnose.h"
#include "agent/explain/path.h"

namespace kubenatd::agent::explain {
namespace {

using rules::former_walk::End;
using rules::former_walk::Fit;
using rules::former_walk::Hop;
using rules::former_walk::Outcome;
using rules::former_walk::Walk;
using Target = Subject::Kind;
using Weight = Finding::Weight;

std::string describe(const Hop& hop, rules::Family family) {
  const std::string where = fmt::format("{} {}", name_of(hop.chain->table), hop.chain->name);
  return hop.rule == nullptr ? where + ": policy DROP" : fmt::format("{}: {}", where, text_of(*hop.rule, family));
}

bool ends_a_chain(const Hop& hop) {
  return hop.rule != nullptr &&
         (std::holds_alternative<rules::Verdict>(hop.rule->rule.target) ||
          std::holds_alternative<rules::DnatTarget>(hop.rule->rule.target) || !hop.rule->other_target.empty());
}

/// A rule of somebody else in nat that takes the packet before the Service's rules see it.
const Hop* shadowing(const Walk& walk, const std::vector<std::uint32_t>& path) {
  for (const std::uint32_t index : path) {
    const Hop& hop = walk.hops[index];
    if (hop.chain->table != rules::Table::kNat || hop.fit == Fit::kNo || hop.fit == Fit::kUnknown) continue;
    if (hop.chain->name == "POSTROUTING" || hop.chain->name == "INPUT") return nullptr;
    if (!is_foreign(hop)) {
      if (hop.rule != nullptr && std::holds_alternative<rules::DnatTarget>(hop.rule->rule.target)) return nullptr;
      continue;
    }
    if (ends_a_chain(hop)) return &hop;
  }
  return nullptr;
}

}  // namespace

void diagnose_walk(const Identity& identity, const Walk& walk, rules::Family family, Answer& answer) {
  std::set<std::string> decided;
  std::set<std::string> shadows;
  std::set<std::string> doubts;
  for (const Outcome& outcome : walk.outcomes) {
    const auto path = walk.path(outcome);
    for (const std::uint32_t doubt : outcome.doubts) doubts.insert(describe(walk.hops[doubt], family));
    // What only an assumption leads to is no finding.
    if (!outcome.odds_known) continue;
    if (outcome.end == End::kDropped || outcome.end == End::kRejected || outcome.end == End::kUnknown) {
      const Hop& last = walk.hops[outcome.last];
      if (is_foreign(last)) decided.insert(describe(last, family));
    }
    const bool served = identity.view != nullptr || identity.subject.kind == Target::kHostPort;
    if (served)
      if (const Hop* hop = shadowing(walk, path)) shadows.insert(describe(*hop, family));
  }
  const auto add = [&](Weight weight, const char* code, const char* text, const std::set<std::string>& lines) {
    if (!lines.empty())
      answer.findings.push_back(
          {.weight = weight, .code = code, .text = text, .details = {lines.begin(), lines.end()}});
  };
  add(Weight::kProblem, "shadowed", "a rule of somebody else comes before the rules of this destination", shadows);
  add(Weight::kProblem, "foreign-rule", "a rule of somebody else decides what becomes of the packet", decided);
  add(Weight::kRemark, "not-judged", "rules that cannot be judged here may decide", doubts);
  if (walk.cut)
    answer.findings.push_back({.weight = Weight::kRemark,
                               .code = "cut",
                               .text = "the rules branch too often or too deep; not every way is shown",
                               .details = {}});
  if (!answer.differences.empty())
    answer.findings.push_back({.weight = Weight::kProblem,
                               .code = "rules-differ",
                               .text = "rules on the path are not as they should be",
                               .details = {}});
}

ClientView client_view(const Identity& identity, const Answer& answer) {
  std::set<std::string> codes;
  std::string text;
  const auto say = [&](const char* code, const char* words) {
    if (codes.insert(code).second) text += (text.empty() ? "" : "; ") + std::string(words);
  };
  for (const PathEnd& end : answer.ends) {
    if (end.remembered) continue;
    switch (end.end) {
      case End::kRejected: say("refused", "connection refused, at once"); break;
      case End::kDropped: say("timeout", "no answer: a timeout"); break;
      case End::kUnknown: say("unknown", "a rule decides that cannot be followed here"); break;
      case End::kLocal:
        if (identity.subject.kind == Target::kHostPort) {
          say("refused", "connection refused: the hostPort has no rule, and its pod has a network of its own");
          break;
        }
        say("local", "an answer if a process of this node listens there, else connection refused");
        break;
      case End::kForwarded:
        if (end.destination_changed || identity.subject.kind == Target::kPod) {
          say("answer", "an answer from the pod, or connection refused if nothing in it listens on the port");
        } else {
          say("not-here", "no rule of this node answers for it; it goes on into the network, most likely to a timeout");
        }
        break;
    }
  }
  const bool open = std::ranges::any_of(answer.ends, [](const PathEnd& end) { return !end.odds_known; });
  if (open && codes.size() > 1) text += "; which of them, rules decide that cannot be judged here";
  if (answer.in_doubt && codes.size() == 1)
    return {"unknown", "a rule that cannot be judged here may decide; if it does not: " + text};
  if (codes.empty()) return {"unknown", "no way of the packet could be followed"};
  return {codes.size() == 1 ? *codes.begin() : "mixed", text};
}

}  // namespace kubenatd::agent::explain
