#include "agent/explain/differences.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "agent/explain/owner.h"
#include "rules/digest.h"
#include "rules/walk/nft/rule_print.h"

namespace kubenatd::agent::explain {
namespace {

using rules::walk::Bytes;
using rules::walk::Found;
using rules::walk::Hop;
using rules::walk::Ruleset;
using rules::walk::SetElement;
using rules::walk::TableFamily;
using rules::walk::Walk;
using rules::walk::WalkChain;
using rules::walk::WalkRule;
using rules::walk::WalkSet;
using rules::walk::WalkTable;

constexpr std::size_t kMostDifferences = 20;
constexpr const char* kOwnTable = "kubenatd";

struct TableKey {
  TableFamily family = TableFamily::kIp;
  std::string name;
  auto operator<=>(const TableKey&) const = default;
};

using ChainKey = std::pair<TableKey, std::string>;
/// Table, set, key as bytes.
using ElementKey = std::tuple<TableKey, std::string, std::string>;

bool is_compared(const WalkTable& table) {
  return !table.legacy && (is_of_iptables(table) || table.name == kOwnTable);
}

/// The element that has the key; none: it is not there, or nobody can tell.
std::optional<SetElement> find_element(const Ruleset& ruleset, const WalkTable& table, const WalkSet& set,
                                       const Bytes& key) {
  for (const SetElement& element : set.elements) {
    if (element.first == key) return element;
    // A concatenation of ranges fits when each part does.
    bool inside = element.first.size == key.size && element.last.size == key.size && set.interval;
    std::size_t at = 0;
    constexpr std::size_t kRegister = 4;
    for (std::size_t i = 0; inside && at < key.size; ++i) {
      const std::size_t part = i < set.parts.size() && set.parts.size() > 1
                                   ? (set.parts[i] + kRegister - 1) / kRegister * kRegister
                                   : key.size - at;
      const Bytes wanted = key.slice(at, part);
      inside = element.first.slice(at, part) <= wanted && wanted <= element.last.slice(at, part);
      at += part;
    }
    if (inside) return element;
  }
  if (set.complete || !ruleset.look_up) return std::nullopt;
  const Found found = ruleset.look_up(table, set, key);
  return found.answer == Found::Answer::kThere ? std::optional(found.element) : std::nullopt;
}

bool same_element(const SetElement& one, const SetElement& other) {
  return one.first == other.first && one.last == other.last && one.data == other.data && one.verdict == other.verdict;
}

bool same_rule(const WalkRule& one, const WalkRule& other) {
  return std::ranges::equal(one.statements, other.statements,
                            [](const auto& mine, const auto& theirs) { return rules::walk::same(mine, theirs); });
}

class Comparison {
 public:
  Comparison(const Ruleset& ruleset, const Ruleset& desired) : ruleset_(ruleset), desired_(desired) {}

  void add_met(const Walk& walk) {
    const WalkChain* last = nullptr;
    for (const Hop& hop : walk.hops) {
      if (hop.table == nullptr || hop.chain == nullptr || !is_compared(*hop.table)) continue;
      const TableKey table{hop.table->family, hop.table->name};
      if (hop.chain != last) chains_.emplace(table, hop.chain->name);
      last = hop.chain;
      if (hop.table->name != kOwnTable) continue;
      for (const auto& one : hop.looked_up)
        if (one.set != nullptr && one.found && !one.set->anonymous && !one.set->dynamic)
          elements_.emplace(table, one.set->name, std::string(one.key.view().begin(), one.key.view().end()));
    }
  }

  std::vector<PathDifference> compare() {
    for (const auto& [table, set, key] : elements_) compare_element(table, set, Bytes(std::string_view(key)));
    for (const auto& [table, chain] : chains_) compare_chain(table, chain);
    return std::move(differences_);
  }

 private:
  static const WalkChain* chain_of(const WalkTable* table, const std::string& name) {
    return table == nullptr ? nullptr : table->chain(name);
  }
  void add(char sign, const std::string& table, std::string where, std::string text) {
    if (differences_.size() >= kMostDifferences) return;
    differences_.push_back({.table = table, .chain = std::move(where), .sign = sign, .rule = std::move(text)});
  }

  void compare_chain(const TableKey& key, const std::string& name) {
    const WalkTable* live = ruleset_.find(key.family, key.name);
    const WalkTable* wanted = desired_.find(key.family, key.name);
    const WalkChain* is = chain_of(live, name);
    const WalkChain* should = chain_of(wanted, name);
    if (key.name == kOwnTable) return compare_in_order(live, is, wanted, should);
    const bool shared = rules::walk::iptables_base(key.name, name).has_value();
    if (!shared && !name.starts_with("KUBE-")) return;
    // KUBE-FIREWALL belongs to kubelet, too: what is in it beyond ours is not our business.
    add_missing(wanted, should, is, '+', shared);
    if (!shared && name != "KUBE-FIREWALL") add_missing(live, is, should, '-', false);
  }

  /// In a table of our own every rule has its place.
  void compare_in_order(const WalkTable* live, const WalkChain* is, const WalkTable* wanted, const WalkChain* should) {
    const std::size_t there = is == nullptr ? 0 : is->rules.size();
    const std::size_t needed = should == nullptr ? 0 : should->rules.size();
    if (is != nullptr && should != nullptr && !same_base(*is, *should))
      add('-', kOwnTable, is->name, "(hooked in another way)");
    for (std::size_t i = 0; i < std::max(there, needed); ++i) {
      if (i < there && i < needed && same_rule(is->rules[i], should->rules[i])) continue;
      if (i < there) add('-', kOwnTable, is->name, text_of(is->rules[i], *live));
      if (i < needed) add('+', kOwnTable, should->name, text_of(should->rules[i], *wanted));
    }
  }
  static bool same_base(const WalkChain& one, const WalkChain& other) {
    if (one.base.has_value() != other.base.has_value()) return false;
    return !one.base ||
           (one.base->hook == other.base->hook && one.base->type == other.base->type &&
            one.base->priority == other.base->priority && one.base->policy_drop == other.base->policy_drop);
  }

  /// Rules of `some` that `others` has not, counted.
  void add_missing(const WalkTable* table, const WalkChain* some, const WalkChain* others, char sign, bool jumps_only) {
    if (some == nullptr || table == nullptr) return;
    std::unordered_map<rules::Digest, std::size_t> there;
    if (others != nullptr)
      for (const WalkRule& rule : others->rules)
        if (rule.model) ++there[digest_of(*rule.model)];
    for (const WalkRule& rule : some->rules) {
      if (jumps_only && !is_service_chain(jump_of(rule))) continue;
      const auto found = rule.model ? there.find(digest_of(*rule.model)) : there.end();
      if (found != there.end() && found->second > 0) {
        --found->second;
        continue;
      }
      add(sign, table->name, some->name, text_of(rule, *table));
    }
  }

  void compare_element(const TableKey& key, const std::string& name, const Bytes& bytes) {
    const auto look = [&](const Ruleset& ruleset, const WalkSet*& set) -> std::optional<SetElement> {
      const WalkTable* table = ruleset.find(key.family, key.name);
      set = table == nullptr ? nullptr : table->set(name);
      return set == nullptr ? std::nullopt : find_element(ruleset, *table, *set, bytes);
    };
    const WalkSet* live_set = nullptr;
    const WalkSet* wanted_set = nullptr;
    const auto is = look(ruleset_, live_set);
    const auto should = look(desired_, wanted_set);
    if (is && should && same_element(*is, *should)) return;
    if (is) add('-', key.name, "@" + name, rules::walk::nft::to_text(*is, *live_set));
    if (should) add('+', key.name, "@" + name, rules::walk::nft::to_text(*should, *wanted_set));
  }

  const Ruleset& ruleset_;
  const Ruleset& desired_;
  std::set<ChainKey> chains_;
  std::set<ElementKey> elements_;
  std::vector<PathDifference> differences_;
};

}  // namespace

std::vector<PathDifference> differences_on_path(const Ruleset& ruleset, const Walk& walk, const Ruleset& desired,
                                                const Walk& desired_walk) {
  Comparison comparison(ruleset, desired);
  comparison.add_met(walk);
  comparison.add_met(desired_walk);
  return comparison.compare();
}

}  // namespace kubenatd::agent::explain
