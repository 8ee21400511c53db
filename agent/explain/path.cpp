#include "agent/explain/path.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "agent/explain/masquerade.h"
#include "agent/explain/owner.h"
#include "rules/walk/nft/rule_print.h"

namespace kubenatd::agent::explain {
namespace {

using rules::walk::Cause;
using rules::walk::End;
using rules::walk::Fit;
using rules::walk::Hop;
using rules::walk::LookedUp;
using rules::walk::Outcome;
using rules::walk::Part;
using rules::walk::Verdict;
using rules::walk::Walk;

bool found_something(const Hop& hop) {
  return std::ranges::any_of(hop.looked_up, [](const LookedUp& one) {
    return one.found && one.set != nullptr && !one.set->anonymous && !one.set->dynamic;
  });
}

/// A rule of a Service for this very destination that did not fit for another reason.
bool is_near_miss(const Hop& hop, const Answer& answer) {
  if (hop.rule == nullptr || hop.fit != Fit::kNo) return false;
  if (!is_of_iptables(*hop.table)) return is_service_table(*hop.table) && found_something(hop);
  if (!is_service_chain(hop.chain->name) || !hop.rule->model) return false;
  const auto& destination = hop.rule->model->destination;
  const bool about_it =
      destination && !destination->negate && destination->prefix == rules::Prefix::host(answer.packet.destination);
  return about_it && (hop.part == Part::kSource || hop.part == Part::kProtocol || hop.part == Part::kDestinationPort);
}

/// A policy that lets the packet pass is not worth a line.
bool is_told(const Hop& hop, const Answer& answer) {
  if (hop.table == nullptr || hop.chain == nullptr) return false;
  if (hop.rule == nullptr) return hop.chain->unread || hop.verdict.verdict == Verdict::kDrop;
  return hop.fit != Fit::kNo || is_near_miss(hop, answer);
}

std::string reason(const Hop& hop, bool is_certain) {
  switch (hop.fit) {
    case Fit::kYes: return {};
    case Fit::kNo:
      return is_of_iptables(*hop.table) ? describe_mismatch(hop.part, hop.mark) : "does not apply, though there is";
    case Fit::kByChance: return is_certain ? "" : "by chance";
    case Fit::kIfRemembered: return "if the client was here lately";
    case Fit::kUnknown:
      return hop.assumed ? "cannot be judged; assumed to fit" : "cannot be judged; assumed not to fit";
  }
  return {};
}

std::string why(const Hop& hop, bool is_certain) {
  std::string text = reason(hop, is_certain);
  for (const LookedUp& one : hop.looked_up) {
    if (!one.found || one.set == nullptr || one.set->anonymous) continue;
    text += (text.empty() ? "@" : "; @") + one.set->name + " " + rules::walk::nft::to_text(one.element, *one.set);
  }
  return text;
}

PathStep step_of(const Hop& hop, bool is_certain) {
  PathStep step;
  step.family = name_of(hop.table->family);
  step.table = hop.table->name;
  step.legacy = hop.table->legacy;
  step.chain = hop.chain->name;
  step.hook = name_of(hop.hook);
  step.matched = fits(hop);
  step.why = why(hop, is_certain);
  step.foreign = is_foreign(hop);
  if (hop.rule == nullptr) {
    if (hop.chain->unread) step.why = "its rules were not read";
    return step;
  }
  step.rule = text_of(*hop.rule, *hop.table);
  step.comment = hop.rule->comment;
  for (const LookedUp& one : hop.looked_up)
    if (step.comment.empty() && one.found) step.comment = one.element.comment;
  step.handle = hop.rule->handle;
  step.counters = hop.rule->counters;
  return step;
}

/// The hops of a path that are told, as steps; jumps that came back without anything having fitted are marked.
std::vector<PathStep> steps_of(const Walk& walk, const std::vector<std::uint32_t>& path, const Answer& answer,
                               bool is_certain) {
  std::vector<PathStep> steps;
  std::vector<const Hop*> hops;
  for (const std::uint32_t index : path) {
    const Hop& hop = walk.hops[index];
    if (!is_told(hop, answer)) continue;
    hops.push_back(&hop);
    steps.push_back(step_of(hop, is_certain));
  }
  for (std::size_t i = 0; i < hops.size(); ++i) {
    const auto& to = hops[i]->verdict;
    if (!steps[i].matched || (to.verdict != Verdict::kJump && to.verdict != Verdict::kGoto)) continue;
    const bool led_on =
        i + 1 < hops.size() && hops[i + 1]->table == hops[i]->table && hops[i + 1]->chain->name == to.chain;
    steps[i].idle = !led_on;
  }
  return steps;
}

std::string words_of(const Outcome& outcome, rules::Family family) {
  const std::string to = outcome.state.packet.destination.to_string();
  const std::string in = outcome.state.in_interface.value_or("");
  const std::string by = in.empty() ? std::string() : " by " + in;
  switch (outcome.cause) {
    case Cause::kRules: return {};
    case Cause::kForwardingOff:
      return fmt::format("{} is 0: this node forwards nothing",
                         family == rules::Family::kIpv4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding");
    case Cause::kNoRoute: return "no route to " + to + ": the node itself answers that the network is unreachable";
    case Cause::kUnreachableRoute: return "a route of type unreachable to " + to;
    case Cause::kProhibitRoute: return "a route of type prohibit to " + to;
    case Cause::kBlackholeRoute: return "a route of type blackhole to " + to;
    case Cause::kReversePath:
      return fmt::format("rp_filter: the way back to {} does not lead out where the packet came in{}",
                         outcome.state.packet.source.to_string(), by);
    case Cause::kMartian:
      return fmt::format("a packet from {} to {} may not come in{}", outcome.state.packet.source.to_string(), to, by);
    case Cause::kRouteUnknown: return "the route to " + to + " is not known";
  }
  return {};
}

/// What the node itself does at the end of a way.
std::optional<PathStep> last_step(const Outcome& outcome, rules::Family family) {
  PathStep step;
  step.table = "kernel";
  step.chain = "routing";
  step.rule = words_of(outcome, family);
  if (step.rule.empty() && outcome.state.tproxy_port) {
    step.chain = "tproxy";
    step.rule = fmt::format("TPROXY has given it to a socket of this node on port {}", *outcome.state.tproxy_port);
  }
  if (step.rule.empty() && outcome.route.neighbour_failed) {
    step.chain = "neighbour";
    step.rule = fmt::format("nobody answers for {} on {}",
                            outcome.route.gateway.value_or(outcome.state.packet.destination).to_string(),
                            outcome.route.interface);
  }
  if (step.rule.empty()) return std::nullopt;
  return step;
}

std::string refused_with(const Walk& walk, const Outcome& outcome) {
  if (outcome.end != End::kRejected || outcome.last >= walk.hops.size()) return {};
  const Hop& hop = walk.hops[outcome.last];
  if (hop.rule == nullptr) return {};
  for (const auto& statement : hop.rule->statements)
    if (const auto* refuse = std::get_if<rules::walk::Refuse>(&statement)) return refuse->with;
  return {};
}

std::size_t common_length(const std::vector<std::vector<std::uint32_t>>& paths) {
  std::size_t length = paths.front().size();
  for (const auto& path : paths) {
    const auto [mine, other] = std::ranges::mismatch(paths.front(), path);
    length = std::min(length, static_cast<std::size_t>(mine - paths.front().begin()));
  }
  return length;
}

}  // namespace

std::string describe_who(const ExplainContext& context, const rules::Address& address, End end) {
  if (const objects::Pod* pod = context.inventory.pod_with(address)) {
    const std::string where = pod->node_name.empty()                ? std::string()
                              : pod->node_name == context.node_name ? " on this node"
                                                                    : " on " + pod->node_name;
    return "pod " + pod->key.to_string() + where;
  }
  return end == End::kLocal ? "this node" : std::string();
}

void tell_path(const ExplainContext& context, const Walk& walk, const Ways& ways, Answer& answer) {
  if (ways.ways.empty()) return;
  constexpr double kCertain = 1 - 1e-9;
  const rules::Family family = answer.packet.destination.family;
  std::vector<std::vector<std::uint32_t>> paths;
  for (const Way& way : ways.ways) paths.push_back(walk.path(*way.outcome));
  const std::size_t shared = common_length(paths);
  const std::vector<std::uint32_t> first(paths.front().begin(),
                                         paths.front().begin() + static_cast<std::ptrdiff_t>(shared));
  const std::size_t shared_steps = steps_of(walk, first, answer, false).size();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const Way& way = ways.ways[i];
    const Outcome& outcome = *way.outcome;
    const auto& state = outcome.state;
    std::vector<PathStep> steps = steps_of(walk, paths[i], answer, way.odds_known && way.odds >= kCertain);
    if (auto last = last_step(outcome, family)) steps.push_back(std::move(*last));
    const auto split = ways.ways.size() == 1 ? steps.end() : steps.begin() + static_cast<std::ptrdiff_t>(shared_steps);
    if (i == 0) answer.steps.assign(steps.begin(), split);
    const bool is_range = state.last_destination && *state.last_destination != state.packet.destination;
    const bool has_ports = state.last_destination_port && *state.last_destination_port != state.packet.destination_port;
    answer.ends.push_back(
        {.end = outcome.end,
         .cause = outcome.cause,
         .odds = way.odds,
         .odds_known = way.odds_known,
         .remembered = outcome.remembered,
         .destination = state.packet.destination,
         .port = state.packet.destination_port,
         .last_destination = is_range ? state.last_destination : std::nullopt,
         .last_port = has_ports ? state.last_destination_port : std::nullopt,
         .destination_changed = state.destination_changed,
         .masqueraded = is_source_replaced(state),
         .source_may_stay = may_keep_source(state),
         .refused_with = refused_with(walk, outcome),
         .neighbour_failed = outcome.end == End::kForwarded && outcome.route.neighbour_failed,
         .who = is_range ? std::string() : describe_who(context, state.packet.destination, outcome.end),
         .steps = {split, steps.end()}});
    if (is_source_replaced(state) && answer.masquerade.empty())
      answer.masquerade = describe_masquerade(walk, paths[i], outcome);
  }
}

}  // namespace kubenatd::agent::explain
