#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "rules/nftables/diff.h"

namespace kubenatd::rules::nftables {

/// The table as a kernel would keep it: takes a plan's steps and refuses what nf_tables (6.18) refuses.
class TableModel final : public PlanWriter {
 public:
  bool there = false;
  std::map<std::string, SetSpec, std::less<>> sets;
  std::map<std::string, Chain, std::less<>> chains;
  std::map<std::string, FlowtableSpec, std::less<>> flowtables;
  std::map<ElementKey, ElementValue> elements;
  std::vector<std::string> refused;  ///< each step that the kernel would not take
  std::size_t steps = 0;

  void delete_table() override {
    ++steps;
    check(there, "delete table");
    there = false;
    sets.clear();
    chains.clear();
    flowtables.clear();
    elements.clear();
  }
  void create_table() override { there = true; }
  void create_set(const SetSpec& set) override {
    ++steps;
    check(there && sets.emplace(set.name, set).second, "create set " + set.name);
  }
  void create_flowtable(const FlowtableSpec& flowtable) override {
    ++steps;
    check(there && flowtables.emplace(flowtable.name, flowtable).second, "create flowtable " + flowtable.name);
  }
  void create_chain(const Chain& chain) override {
    ++steps;
    Chain empty = chain;
    empty.rules.clear();
    check(there && chains.emplace(chain.name, std::move(empty)).second, "create chain " + chain.name);
  }
  void flush_chain(std::string_view chain) override {
    ++steps;
    const auto found = chains.find(chain);
    check(found != chains.end(), "flush chain " + std::string(chain));
    if (found != chains.end()) found->second.rules.clear();
  }
  void add_rule(std::string_view chain, const NftRule& rule) override {
    ++steps;
    const auto found = chains.find(chain);
    const Names uses = uses_of(rule);
    const bool known =
        std::ranges::all_of(uses.sets, [&](const std::string& set) { return sets.contains(set); }) &&
        std::ranges::all_of(uses.chains, [&](const std::string& other) { return chains.contains(other); }) &&
        std::ranges::all_of(uses.flowtables, [&](const std::string& other) { return flowtables.contains(other); });
    check(found != chains.end() && known, "add rule to " + std::string(chain));
    if (found != chains.end()) found->second.rules.push_back(rule);
  }
  void delete_chain(std::string_view chain) override {
    ++steps;
    const auto found = chains.find(chain);
    check(found != chains.end() && found->second.rules.empty() && !is_used(&Names::chains, chain),
          "delete chain " + std::string(chain));
    if (found != chains.end()) chains.erase(found);
  }
  void delete_set(std::string_view set) override {
    ++steps;
    const auto found = sets.find(set);
    check(found != sets.end() && !is_used(&Names::sets, set), "delete set " + std::string(set));
    if (found == sets.end()) return;
    std::erase_if(elements, [&](const auto& element) { return element.first.set == found->second.ref; });
    sets.erase(found);
  }
  void delete_flowtable(std::string_view flowtable) override {
    ++steps;
    const auto found = flowtables.find(flowtable);
    check(found != flowtables.end() && !is_used(&Names::flowtables, flowtable),
          "delete flowtable " + std::string(flowtable));
    if (found != flowtables.end()) flowtables.erase(found);
  }
  void remove_element(const ElementKey& key) override {
    ++steps;
    check(elements.erase(key) == 1, "remove element of " + name_of(key.set));
  }
  void add_element(const ElementKey& key, const ElementValue& value) override {
    ++steps;
    check(sets.contains(name_of(key.set)) && elements.emplace(key, value).second, "add element to " + name_of(key.set));
  }
  void all_removed() override {}

  /// Takes a plan. Empty when the kernel would take all of it.
  std::vector<std::string> take(const Plan& plan, const DesiredElements& desired) {
    refused.clear();
    steps = 0;
    write(plan, desired, *this);
    return refused;
  }

  /// As it is read: all of it, or the elements of some sets alone.
  [[nodiscard]] LiveTable look(const Ruleset& wanted, const std::set<SetRef>* some = nullptr) const {
    LiveTable live;
    for (const auto& [name, set] : sets) {
      const auto same = std::ranges::find(wanted.sets, name, &SetSpec::name);
      live.structure.sets[name] = same != wanted.sets.end() && *same == set;
      if (set.dynamic || (some != nullptr && !some->contains(set.ref))) continue;
      live.read.insert(set.ref);
    }
    for (const auto& [name, flowtable] : flowtables)
      live.structure.flowtables[name] = std::ranges::find(wanted.flowtables, flowtable) != wanted.flowtables.end();
    for (const auto& [name, chain] : chains) {
      const auto same = std::ranges::find(wanted.chains, name, &Chain::name);
      const bool known = same != wanted.chains.end();
      live.structure.chains[name] = {
          .same_hook = known && same->hook == chain.hook && same->nat == chain.nat && same->priority == chain.priority,
          .same_rules = known && same->rules == chain.rules};
    }
    for (const auto& [key, value] : elements)
      if (live.read.contains(key.set))
        live.elements.emplace(key, LiveValue{value.data, value.comment ? *value.comment : "", true});
    return live;
  }
  /// A fresh table with what is wanted.
  static TableModel made_of(const DesiredElements& desired) {
    TableModel model;
    (void)model.take(compare(desired.ruleset(), nullptr, desired, {}), desired);
    return model;
  }
  friend bool operator==(const TableModel& one, const TableModel& other) {
    return one.there == other.there && one.sets == other.sets && one.chains == other.chains &&
           one.flowtables == other.flowtables && one.elements == other.elements;
  }

 private:
  static Names uses_of(const NftRule& rule) {
    Names uses;
    for (const Statement& statement : rule.statements) {
      if (const auto* go = std::get_if<GoTo>(&statement)) uses.chains.insert(go->chain);
      if (const auto* in = std::get_if<InSet>(&statement)) uses.sets.insert(name_of(in->set));
      if (const auto* to = std::get_if<Translate>(&statement)) uses.sets.insert(name_of(to->map));
      if (const auto* priority = std::get_if<SetPriority>(&statement); priority != nullptr)
        uses.sets.insert(name_of(priority->map));
      if (std::holds_alternative<Remember>(statement) || std::holds_alternative<RecallClient>(statement))
        uses.sets.insert("affinity");
      if (std::holds_alternative<AddToFlowtable>(statement)) uses.flowtables.insert(kFlowtable);
    }
    return uses;
  }
  bool is_used(std::set<std::string, std::less<>> Names::*kind, std::string_view name) const {
    for (const auto& [chain_name, chain] : chains)
      for (const NftRule& rule : chain.rules)
        if ((uses_of(rule).*kind).contains(name)) return true;
    return false;
  }
  void check(bool taken, std::string step) {
    if (!taken) refused.push_back(std::move(step));
  }
};

}  // namespace kubenatd::rules::nftables
