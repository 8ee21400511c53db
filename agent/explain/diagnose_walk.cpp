#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <variant>

#include "agent/explain/diagnose.h"
#include "agent/explain/masquerade.h"
#include "agent/explain/owner.h"

namespace kubenatd::agent::explain {
namespace {

using rules::walk::Base;
using rules::walk::Cause;
using rules::walk::End;
using rules::walk::Fit;
using rules::walk::Hook;
using rules::walk::Hop;
using rules::walk::NoTrack;
using rules::walk::Outcome;
using rules::walk::Part;
using rules::walk::Verdict;
using rules::walk::Walk;
using Target = Subject::Kind;
using Weight = Finding::Weight;

bool is_before_routing(Hook hook) {
  return hook == Hook::kPrerouting || hook == Hook::kOutput;
}

/// Whether a table has chains that translate for Services, so that what ends a nat chain of it ends theirs, too.
bool has_service_nat(const rules::walk::WalkTable& table) {
  if (!is_of_iptables(table)) return is_service_table(table);
  return table.name == "nat" &&
         (table.chain("KUBE-SERVICES") != nullptr || table.chain("CNI-HOSTPORT-DNAT") != nullptr);
}

/// A rule that takes the packet before the Service's rules see it: it translates it itself, ends the chain in which
/// they are called, or keeps the connection out of tracking, without which there is no nat.
const Hop* shadowing(const Walk& walk, const std::vector<std::uint32_t>& path) {
  const Base* base = nullptr;
  for (const std::uint32_t index : path) {
    const Hop& hop = walk.hops[index];
    if (hop.table == nullptr || hop.chain == nullptr) continue;
    if (hop.chain->base) base = &*hop.chain->base;
    if (!is_before_routing(hop.hook)) return nullptr;
    if (hop.rule == nullptr || hop.fit == Fit::kUnknown || !fits(hop)) continue;
    const bool untracks = std::ranges::any_of(
        hop.rule->statements, [](const auto& statement) { return std::holds_alternative<NoTrack>(statement); });
    if (untracks) return &hop;
    if (!is_foreign(hop)) {
      if (hop.translated) return nullptr;
      continue;
    }
    if (hop.translated) return &hop;
    const bool ends = hop.verdict.verdict == Verdict::kAccept ||
                      (hop.verdict.verdict == Verdict::kReturn && hop.chain->base.has_value());
    const bool in_nat = base != nullptr && base->type == Base::Type::kNat;
    if (ends && in_nat && has_service_nat(*hop.table)) return &hop;
  }
  return nullptr;
}

/// What old releases of iptables print of rules that they do not understand.
std::string with_warning(const std::string& text) {
  const bool unreadable = text.find("[unsupported revision]") != std::string::npos ||
                          text.find("--to-destination :0 --persistent") != std::string::npos;
  return unreadable
             ? text + "  (the program that wrote this text could not read the rule; the kernel may have it right)"
             : text;
}

struct Told {
  std::set<std::string> decided, shadows, doubts;
  bool in_interface = false, out_interface = false;  ///< a doubt asks for it
};

void tell_doubt(const Hop& hop, Told& told) {
  told.doubts.insert(with_warning(describe(hop)));
  told.in_interface = told.in_interface || hop.part == Part::kInInterface;
  told.out_interface = told.out_interface || hop.part == Part::kOutInterface;
}

void look_at_end(const Walk& walk, const Way& way, Told& told) {
  const Outcome& outcome = *way.outcome;
  const bool arrives = outcome.end == End::kForwarded || outcome.end == End::kLocal;
  if (arrives || outcome.cause != Cause::kRules || outcome.last >= walk.hops.size()) return;
  const Hop& last = walk.hops[outcome.last];
  if (outcome.end == End::kUnknown) {
    tell_doubt(last, told);
  } else if (way.is_sure && is_foreign(last)) {  // what only an assumption leads to is no finding
    told.decided.insert(describe(last));
  }
}

}  // namespace

void diagnose_walk(const ExplainContext& context, const Identity& identity, const Walk& walk, const Ways& ways,
                   Answer& answer) {
  Told told;
  for (const std::uint32_t doubt : ways.doubts) tell_doubt(walk.hops[doubt], told);
  const bool is_served = identity.view != nullptr || identity.subject.kind == Target::kHostPort;
  for (const Way& way : ways.ways) {
    look_at_end(walk, way, told);
    if (!is_served || !way.odds_known) continue;
    if (const Hop* hop = shadowing(walk, walk.path(*way.outcome))) told.shadows.insert(describe(*hop));
  }
  const auto add = [&](Weight weight, const char* code, const char* text, const std::set<std::string>& lines) {
    if (!lines.empty()) add_finding(answer, weight, code, text, {lines.begin(), lines.end()});
  };
  // A cluster IP that the node has itself, as a DNS cache on the node takes it, is meant to be answered here.
  const bool is_meant =
      identity.subject.kind == Target::kClusterIp && context.surroundings.is_local(answer.packet.destination);
  add(is_meant ? Weight::kRemark : Weight::kProblem, "shadowed",
      "a rule of somebody else comes before the rules of this destination", told.shadows);
  add(Weight::kProblem, "foreign-rule", "a rule of somebody else decides what becomes of the packet", told.decided);
  add(Weight::kRemark, "not-judged", "rules that cannot be judged here may decide", told.doubts);
  if (told.in_interface || told.out_interface) {
    std::string text = "the interfaces are not known here, and rules ask for them:";
    if (told.in_interface) text += " --in-interface NAME says by which one the packet comes in";
    if (told.out_interface)
      text += std::string(told.in_interface ? ";" : "") + " where it goes out, only the node knows";
    add_finding(answer, Weight::kRemark, "interface-unknown", std::move(text));
  }
  if (walk.cut) {
    answer.is_incomplete = true;
    add_finding(answer, Weight::kRemark, "cut", "the rules branch too often or too deep; not every way is shown");
  }
  if (!answer.differences.empty())
    add_finding(answer, Weight::kProblem, "rules-differ", "rules on the path are not as they should be");
}

}  // namespace kubenatd::agent::explain
