#include "agent/explain/table_path.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "agent/explain/path.h"
#include "rules/nftables/text.h"

namespace kubenatd::agent::explain {
namespace {

using namespace rules::nftables;
using rules::former_walk::Fit;

constexpr std::size_t kMostDifferences = 20;

std::string text_of_rule(const NftRule& rule, rules::Family family) {
  if (rule.statements.empty()) return rule.comment;
  return to_text(rule, family);
}

/// Sets and chains by what names them.
struct Index {
  explicit Index(const Ruleset& ruleset) {
    for (const SetSpec& set : ruleset.sets) sets.emplace(set.ref, &set);
    for (const Chain& chain : ruleset.chains) chains.emplace(chain.name, &chain);
  }
  [[nodiscard]] std::string text(const ElementKey& key, const ElementValue& value, rules::Family family) const {
    const auto found = sets.find(key.set);
    return found == sets.end() ? std::string() : to_text(key, value, *found->second, family);
  }

  std::map<SetRef, const SetSpec*> sets;
  std::map<std::string_view, const Chain*> chains;
};

class Teller {
 public:
  Teller(const ExplainContext& context, const TableState& table, rules::Family family)
      : context_(context), index_(table.ruleset), family_(family) {}

  void tell(const TableWalk& walk, Answer& answer) const {
    if (walk.ways.empty()) return;
    const std::size_t shared = shared_hops(walk);
    const auto shared_end = walk.ways.front().hops.begin() + static_cast<std::ptrdiff_t>(shared);
    for (auto hop = walk.ways.front().hops.begin(); hop != shared_end; ++hop)
      answer.steps.push_back(
          step_of(walk.ways.front(), static_cast<std::size_t>(hop - walk.ways.front().hops.begin())));
    for (const TableWay& way : walk.ways) {
      PathEnd& end = answer.ends.emplace_back();
      end.end = way.end;
      end.odds = way.odds;
      end.remembered = way.remembered;
      end.destination = way.packet.destination;
      end.port = way.packet.destination_port;
      end.destination_changed = way.destination_changed;
      end.masqueraded = way.masqueraded;
      end.who = describe_who(context_, way.packet.destination, way.end);
      for (std::size_t i = shared; i < way.hops.size(); ++i) end.steps.push_back(step_of(way, i));
      if (way.masqueraded && answer.masquerade.empty()) answer.masquerade = describe_masquerade(way);
    }
  }

  void add_doubts(const TableWalk& walk, Answer& answer) const {
    std::set<std::string> doubts;
    for (const TableWay& way : walk.ways)
      for (const TableHop& hop : way.hops)
        if (hop.fit == Fit::kUnknown)
          doubts.insert(fmt::format("{} {}: {}", kTable, hop.chain->name, text_of_rule(*hop.rule, family_)));
    const auto add = [&](const char* code, const char* text) {
      answer.findings.push_back(
          {.weight = Finding::Weight::kRemark, .code = code, .text = text, .details = {doubts.begin(), doubts.end()}});
    };
    if (!doubts.empty())
      add("not-judged", "rules that cannot be judged here may decide; they were taken as not fitting");
    answer.in_doubt = answer.in_doubt || !doubts.empty();
    doubts.clear();
    if (walk.cut) add("cut", "the rules lead on too far or nowhere; not every way is shown");
  }

 private:
  static std::size_t shared_hops(const TableWalk& walk) {
    const auto& first = walk.ways.front().hops;
    std::size_t shared = first.size();
    for (const TableWay& way : walk.ways) {
      const auto differs = std::ranges::mismatch(first, way.hops).in1;
      shared = std::min(shared, static_cast<std::size_t>(differs - first.begin()));
    }
    return shared;
  }

  [[nodiscard]] PathStep step_of(const TableWay& way, std::size_t at) const {
    const TableHop& hop = way.hops[at];
    PathStep step;
    step.table = kTable;
    step.chain = hop.chain->name;
    step.rule = text_of_rule(*hop.rule, family_);
    step.matched = hop.fit != Fit::kNo && hop.fit != Fit::kUnknown;
    step.why = why(way, hop);
    const bool leads_on = at + 1 < way.hops.size();
    if (!hop.rule->statements.empty())
      if (const auto* go = std::get_if<GoTo>(&hop.rule->statements.back()))
        step.idle = step.matched && !(leads_on && way.hops[at + 1].chain->name == go->chain);
    return step;
  }

  [[nodiscard]] std::string why(const TableWay& way, const TableHop& hop) const {
    constexpr double kCertain = 1 - 1e-9;
    std::string text;
    const auto say = [&](const std::string& words) { text += (text.empty() ? "" : "; ") + words; };
    const bool translates =
        !hop.rule->statements.empty() && std::holds_alternative<Translate>(hop.rule->statements.front());
    if (hop.fit == Fit::kUnknown) say("cannot be judged; taken as not fitting");
    if (hop.fit == Fit::kNo) say("does not apply, though there is");
    if (hop.fit == Fit::kIfRemembered) say("if the client was here lately");
    if (hop.fit == Fit::kYes && translates && !way.remembered && way.odds < kCertain) say("by chance");
    for (const Element* element : hop.found)
      say(fmt::format("@{} {}", name_of(element->first.set), index_.text(element->first, element->second, family_)));
    return text;
  }

  /// Why the source is replaced: the rule that set the mark says it by where it stands.
  [[nodiscard]] std::string describe_masquerade(const TableWay& way) const {
    const TableHop& hop = way.hops[way.masquerade_hop];
    const std::string_view chain = hop.chain->name;
    const bool from_node = std::ranges::any_of(
        hop.rule->statements, [](const Statement& one) { return std::holds_alternative<IsLocal>(one); });
    const bool by_source = std::ranges::any_of(hop.rule->statements, [](const Statement& one) {
      return std::holds_alternative<InPrefix>(one) || std::holds_alternative<FromInterface>(one);
    });
    if (chain == "nat-postrouting")
      return way.packet.source == way.packet.destination
                 ? "the endpoint would speak to itself, and must not see that it "
                   "does"
                 : "a hostPort asked by way of localhost";
    if (chain == "cluster-ip" && by_source)
      return "the source is not known as a pod of this cluster: the answer has to come back through this node";
    if (chain == "external" || chain == "nodeport")
      return "it comes in from outside under traffic policy Cluster: the answer has to come back through this node";
    if (from_node)
      return "the node itself asks, and may reach endpoints on every node: the answer has to come back here";
    return fmt::format("rule in {}: {}", chain, text_of_rule(*hop.rule, family_));
  }

  const ExplainContext& context_;
  Index index_;
  rules::Family family_;
};

/// What the two tables have not in common of what was met.
class Differences {
 public:
  Differences(const TableState& table, const TableState& desired, rules::Family family)
      : table_(table), desired_(desired), live_index_(table.ruleset), index_(desired.ruleset), family_(family) {}

  void compare_chain(const std::string& name) {
    const Chain* is = chain(live_index_, name);
    const Chain* wanted = chain(index_, name);
    const std::size_t there = is == nullptr ? 0 : is->rules.size();
    const std::size_t needed = wanted == nullptr ? 0 : wanted->rules.size();
    if (is != nullptr && wanted != nullptr && (is->hook != wanted->hook || is->priority != wanted->priority))
      add('-', name, "(hooked in another way)");
    for (std::size_t i = 0; i < std::max(there, needed); ++i) {
      if (i < there && i < needed && is->rules[i] == wanted->rules[i]) continue;
      if (i < there) add('-', name, text_of_rule(is->rules[i], family_));
      if (i < needed) add('+', name, text_of_rule(wanted->rules[i], family_));
    }
  }

  void compare_element(const ElementKey& key) {
    const auto is = table_.elements.find(key);
    const auto wanted = desired_.elements.find(key);
    const bool there = is != table_.elements.end();
    const bool needed = wanted != desired_.elements.end();
    if (there && needed && is->second == wanted->second) return;
    if (there) add('-', "@" + name_of(key.set), index_.text(key, is->second, family_));
    if (needed) add('+', "@" + name_of(key.set), index_.text(key, wanted->second, family_));
  }

  [[nodiscard]] std::vector<PathDifference> take() { return std::move(differences_); }

 private:
  static const Chain* chain(const Index& index, const std::string& name) {
    const auto found = index.chains.find(name);
    return found == index.chains.end() ? nullptr : found->second;
  }
  void add(char sign, std::string where, std::string text) {
    if (differences_.size() >= kMostDifferences) return;
    differences_.push_back({.table = kTable, .chain = std::move(where), .sign = sign, .rule = std::move(text)});
  }

  const TableState& table_;
  const TableState& desired_;
  Index live_index_;
  Index index_;
  rules::Family family_;
  std::vector<PathDifference> differences_;
};

}  // namespace

void tell_table_path(const ExplainContext& context, const TableState& table, const std::optional<TableState>& desired,
                     Answer& answer) {
  const rules::Family family = answer.packet.destination.family;
  TableWalk walk = walk_table(table, answer.packet, context.surroundings);
  const Teller teller(context, table, family);
  teller.tell(walk, answer);
  teller.add_doubts(walk, answer);
  if (!desired) return;
  TableWalk wanted = walk_table(*desired, answer.packet, context.surroundings);
  wanted.chains.merge(walk.chains);
  wanted.keys.merge(walk.keys);
  Differences differences(table, *desired, family);
  for (const ElementKey& key : wanted.keys) differences.compare_element(key);
  for (const std::string& chain : wanted.chains) differences.compare_chain(chain);
  answer.differences = differences.take();
}

}  // namespace kubenatd::agent::explain
