#include "agent/explain/path.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>
#include <utility>

#include "rules/digest.h"

namespace kubenatd::agent::explain {
namespace {

using rules::former_walk::End;
using rules::former_walk::Fit;
using rules::former_walk::Hop;
using rules::former_walk::Outcome;
using rules::former_walk::Part;
using rules::former_walk::Ruleset;
using rules::former_walk::Walk;
using rules::former_walk::WalkChain;
using rules::former_walk::WalkRule;

constexpr std::size_t kMostDifferences = 20;

/// A rule for this very destination that did not fit for another reason.
bool is_near_miss(const Hop& hop, const Answer& answer) {
  if (hop.rule == nullptr || hop.fit != Fit::kNo || !is_service_path(hop.chain->name)) return false;
  const auto& destination = hop.rule->rule.destination;
  const bool about_it =
      destination && !destination->negate && destination->prefix == rules::Prefix::host(answer.packet.destination);
  return about_it && (hop.part == Part::kSource || hop.part == Part::kProtocol || hop.part == Part::kDestinationPort);
}

/// On this way.
bool fits(const Hop& hop) {
  return hop.fit == Fit::kUnknown ? hop.assumed : hop.fit != Fit::kNo;
}

std::string reason(const Hop& hop) {
  switch (hop.fit) {
    case Fit::kYes: return {};
    case Fit::kNo: return describe_mismatch(hop.part, hop.mark);
    case Fit::kByChance: return "by chance";
    case Fit::kIfRemembered: return "if the client was here lately";
    case Fit::kUnknown:
      return hop.assumed ? "cannot be judged; assumed to fit" : "cannot be judged; assumed not to fit";
  }
  return {};
}

PathStep step_of(const Hop& hop, rules::Family family) {
  PathStep step{.table = std::string(name_of(hop.chain->table)),
                .chain = hop.chain->name,
                .rule = hop.rule == nullptr ? std::string() : text_of(*hop.rule, family),
                .comment = hop.rule == nullptr ? std::string() : std::string(rules::comment_of(hop.rule->rule)),
                .matched = fits(hop),
                .why = reason(hop),
                .foreign = is_foreign(hop),
                .counters = hop.rule == nullptr ? std::nullopt : hop.rule->counters};
  return step;
}

/// The hops of a path that are told, as steps; jumps that came back without anything having fitted are marked.
std::vector<PathStep> steps_of(const Walk& walk, const std::vector<std::uint32_t>& path, const Answer& answer,
                               rules::Family family) {
  std::vector<PathStep> steps;
  std::vector<const Hop*> hops;
  for (const std::uint32_t index : path) {
    const Hop& hop = walk.hops[index];
    if (hop.fit == Fit::kNo && !is_near_miss(hop, answer)) continue;
    hops.push_back(&hop);
    steps.push_back(step_of(hop, family));
  }
  for (std::size_t i = 0; i < hops.size(); ++i) {
    if (!steps[i].matched || hops[i]->rule == nullptr) continue;
    const std::string_view to = jump_target(hops[i]->rule->rule);
    steps[i].idle = !to.empty() && (i + 1 == hops.size() || hops[i + 1]->chain->name != to);
  }
  return steps;
}

/// Why the source is replaced: the rule that set the mark says it by where it stands.
std::string describe_masquerade(const Walk& walk, const std::vector<std::uint32_t>& path, rules::Family family) {
  for (const std::uint32_t index : path) {
    const Hop& hop = walk.hops[index];
    if (hop.rule == nullptr || !fits(hop)) continue;
    const std::string_view to = jump_target(hop.rule->rule);
    if (to != "KUBE-MARK-MASQ" && to != "CNI-HOSTPORT-SETMARK") continue;
    const std::string_view chain = hop.chain->name;
    if (chain.starts_with("KUBE-SEP-")) return "the endpoint would speak to itself, and must not see that it does";
    if (chain.starts_with("KUBE-EXT-"))
      return "it comes in from outside under traffic policy Cluster: the answer has to come back through this node";
    if (chain.starts_with("KUBE-SVC-") || chain.starts_with("KUBE-SVL-"))
      return "the source is not known as a pod of this cluster: the answer has to come back through this node";
    if (chain.starts_with("CNI-DN-")) return "a hostPort asked by its own pod or by way of localhost";
    return fmt::format("rule in {}: {}", chain, text_of(*hop.rule, family));
  }
  for (const std::uint32_t index : path) {
    const Hop& hop = walk.hops[index];
    if (hop.rule != nullptr && fits(hop) && hop.chain->table == rules::Table::kNat &&
        std::holds_alternative<rules::MasqueradeTarget>(hop.rule->rule.target))
      return fmt::format("rule in {}: {}", hop.chain->name, text_of(*hop.rule, family));
  }
  return "a rule replaces the source";
}

std::size_t common_length(const std::vector<std::vector<std::uint32_t>>& paths) {
  std::size_t length = paths.front().size();
  for (const auto& path : paths) {
    const auto [mine, other] = std::ranges::mismatch(paths.front(), path);
    length = std::min(length, static_cast<std::size_t>(mine - paths.front().begin()));
  }
  return length;
}

using ChainKey = std::pair<rules::Table, std::string>;

void add_chains(const Walk& walk, std::set<ChainKey>& chains) {
  const WalkChain* last = nullptr;
  for (const Hop& hop : walk.hops) {
    if (hop.chain == last) continue;
    last = hop.chain;
    chains.emplace(hop.chain->table, hop.chain->name);
  }
}

/// Rules of `some` that `others` has not, counted.
void add_missing(const WalkChain* some, const WalkChain* others, char sign, bool jumps_only, rules::Family family,
                 std::vector<PathDifference>& differences) {
  if (some == nullptr) return;
  std::unordered_map<rules::Digest, std::size_t> there;
  if (others != nullptr)
    for (const WalkRule& rule : others->rules) ++there[digest_of(rule.rule)];
  for (const WalkRule& rule : some->rules) {
    if (jumps_only && !is_service_path(jump_target(rule.rule))) continue;
    const auto found = rule.text.empty() ? there.find(digest_of(rule.rule)) : there.end();
    if (found != there.end() && found->second > 0) {
      --found->second;
      continue;
    }
    if (differences.size() >= kMostDifferences) return;
    differences.push_back(
        {.table = std::string(name_of(some->table)), .chain = some->name, .sign = sign, .rule = text_of(rule, family)});
  }
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

bool is_service_path(std::string_view chain) {
  return chain.starts_with("KUBE-") || chain.starts_with("CNI-HOSTPORT-") || chain.starts_with("CNI-DN-");
}

bool is_foreign(const Hop& hop) {
  return !is_service_path(hop.chain->name) && (hop.rule == nullptr || !is_service_path(jump_target(hop.rule->rule)));
}

void tell_path(const ExplainContext& context, const Ruleset& ruleset, const Walk& walk, Answer& answer) {
  if (walk.outcomes.empty()) return;
  const rules::Family family = ruleset.family();
  std::vector<std::vector<std::uint32_t>> paths;
  for (const Outcome& outcome : walk.outcomes) paths.push_back(walk.path(outcome));
  const std::size_t shared = common_length(paths);
  const auto told = [&](const std::vector<std::uint32_t>& path) { return steps_of(walk, path, answer, family); };
  const std::vector<std::uint32_t> first(paths.front().begin(),
                                         paths.front().begin() + static_cast<std::ptrdiff_t>(shared));
  const std::size_t shared_steps = told(first).size();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const Outcome& outcome = walk.outcomes[i];
    std::vector<PathStep> steps = told(paths[i]);
    const auto split = steps.begin() + static_cast<std::ptrdiff_t>(shared_steps);
    if (i == 0) answer.steps.assign(steps.begin(), split);
    answer.ends.push_back({.end = outcome.end,
                           .odds = outcome.odds,
                           .odds_known = outcome.odds_known,
                           .remembered = outcome.remembered,
                           .destination = outcome.packet.destination,
                           .port = outcome.packet.destination_port,
                           .destination_changed = outcome.destination_changed,
                           .masqueraded = outcome.masqueraded,
                           .who = describe_who(context, outcome.packet.destination, outcome.end),
                           .steps = {split, steps.end()}});
    if (outcome.masqueraded && answer.masquerade.empty())
      answer.masquerade = describe_masquerade(walk, paths[i], family);
  }
}

std::vector<PathDifference> differences_on_path(const Ruleset& ruleset, const Walk& walk, const Ruleset& desired,
                                                const Walk& desired_walk) {
  std::set<ChainKey> chains;
  add_chains(walk, chains);
  add_chains(desired_walk, chains);
  std::vector<PathDifference> differences;
  for (const auto& [table, name] : chains) {
    const WalkChain* is = ruleset.find(table, name);
    const WalkChain* wanted = desired.find(table, name);
    const bool shared = rules::former_walk::is_builtin_name(table, name);
    if (!shared && !name.starts_with("KUBE-")) continue;
    // KUBE-FIREWALL belongs to kubelet, too: what is in it beyond ours is not our business.
    add_missing(wanted, is, '+', shared, ruleset.family(), differences);
    if (!shared && name != "KUBE-FIREWALL") add_missing(is, wanted, '-', false, ruleset.family(), differences);
  }
  return differences;
}

}  // namespace kubenatd::agent::explain
