#include "rules/nftables/diff.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace kubenatd::rules::nftables {
namespace {

template <class Named>
const Named* find(const std::vector<Named>& all, std::string_view name) {
  const auto found = std::ranges::find(all, name, &Named::name);
  return found == all.end() ? nullptr : &*found;
}

void add_change(const ElementKey& key, const DesiredElements::Change& change, Plan& plan) {
  if (change.before) plan.removed.push_back(key);
  if (change.after) plan.added.emplace_back(key, *change.after);
}

class Comparison {
 public:
  Comparison(const Ruleset& wanted, const Ruleset* written, const DesiredElements& desired, LiveTable& live)
      : wanted_(wanted), written_(written), desired_(desired), live_(live) {}

  Plan run() {
    sets();
    flowtables();
    chains();
    plan_.delete_table = plan_.delete_table || live_.replace;
    if (plan_.delete_table || live_.structure.empty()) return whole_table();
    unwanted();
    elements();
    return std::move(plan_);
  }

 private:
  [[nodiscard]] Plan whole_table() const {
    Plan plan;
    plan.delete_table = plan_.delete_table;
    plan.everything = true;
    plan.new_sets = wanted_.sets;
    plan.new_flowtables = wanted_.flowtables;
    plan.new_chains = plan.rewritten = wanted_.chains;
    plan.table_drifted = written_ != nullptr;
    return plan;
  }

  void sets() {
    for (const SetSpec& set : wanted_.sets) {
      const auto found = live_.structure.sets.find(set.name);
      if (found == live_.structure.sets.end()) {
        plan_.new_sets.push_back(set);
        new_sets_.insert(set.ref);
        if (written_ != nullptr && find(written_->sets, set.name) != nullptr) plan_.drifted.sets.insert(set.name);
      } else if (!found->second) {
        plan_.delete_table = true;  // a set cannot be changed into another (6.18)
      }
    }
  }

  void flowtables() {
    for (const FlowtableSpec& flowtable : wanted_.flowtables) {
      const auto found = live_.structure.flowtables.find(flowtable.name);
      if (found == live_.structure.flowtables.end()) {
        plan_.new_flowtables.push_back(flowtable);
        if (written_ != nullptr && find(written_->flowtables, flowtable.name) != nullptr)
          plan_.drifted.flowtables.insert(flowtable.name);
      } else if (!found->second) {
        plan_.delete_table = true;  // its place cannot be changed (nft_flowtable_parse_hook, 6.12)
      }
    }
  }

  void chains() {
    for (const Chain& chain : wanted_.chains) {
      const auto found = live_.structure.chains.find(chain.name);
      const bool missing = found == live_.structure.chains.end();
      if (missing) plan_.new_chains.push_back(chain);
      if (!missing && !found->second.same_hook) plan_.delete_table = true;  // nor can a base chain (6.18)
      if (!missing && found->second.same_rules) continue;
      plan_.rewritten.push_back(chain);
      if (written_ == nullptr) continue;
      const Chain* before = find(written_->chains, chain.name);
      if (before != nullptr && (missing || *before == chain)) plan_.drifted.chains.insert(chain.name);
    }
  }

  void unwanted() {
    for (const auto& [name, same] : live_.structure.sets) {
      if (find(wanted_.sets, name) != nullptr) continue;
      plan_.old_sets.insert(name);
      if (written_ != nullptr && find(written_->sets, name) == nullptr) plan_.drifted.sets.insert(name);
    }
    for (const auto& [name, same] : live_.structure.flowtables) {
      if (find(wanted_.flowtables, name) != nullptr) continue;
      plan_.old_flowtables.insert(name);
      if (written_ != nullptr && find(written_->flowtables, name) == nullptr) plan_.drifted.flowtables.insert(name);
    }
    for (const auto& [name, chain] : live_.structure.chains) {
      if (find(wanted_.chains, name) != nullptr) continue;
      plan_.old_chains.insert(name);
      if (written_ != nullptr && find(written_->chains, name) == nullptr) plan_.drifted.chains.insert(name);
    }
  }

  void elements() {
    std::set<SetRef> compared;
    std::set<SetRef> kept;  // wanted, but not read
    for (const SetSpec& set : wanted_.sets) {
      if (set.dynamic) continue;
      const bool known = live_.read.contains(set.ref) || new_sets_.contains(set.ref);
      (known ? compared : kept).insert(set.ref);
    }
    std::set<SetRef> drifted;
    const auto differs = [&](const ElementKey& key) {
      if (written_ != nullptr && !desired_.changes().contains(key)) drifted.insert(key.set);
    };
    if (!compared.empty())
      desired_.for_each_element([&](const SetRef& set) { return compared.contains(set); },
                                [&](const ElementKey& key, const ElementValue& value) {
                                  const auto found = live_.elements.find(key);
                                  const bool missing = found == live_.elements.end();
                                  if (missing || !equal(found->second, value)) {
                                    if (!missing) plan_.removed.push_back(key);
                                    plan_.added.emplace_back(key, value);
                                    differs(key);
                                  }
                                  if (!missing) live_.elements.erase(found);
                                });
    for (const auto& [key, value] : live_.elements) {
      if (!compared.contains(key.set) || new_sets_.contains(key.set)) continue;
      plan_.removed.push_back(key);
      differs(key);
    }
    for (const SetRef& set : drifted) plan_.drifted.sets.insert(name_of(set));
    for (const auto& [key, change] : desired_.changes())
      if (kept.contains(key.set)) add_change(key, change, plan_);
  }

  const Ruleset& wanted_;
  const Ruleset* written_;
  const DesiredElements& desired_;
  LiveTable& live_;
  std::set<SetRef> new_sets_;
  Plan plan_;
};

}  // namespace

bool equal(const LiveValue& live, const ElementValue& wanted) {
  const std::string_view comment = wanted.comment ? std::string_view(*wanted.comment) : std::string_view();
  return live.plain && live.data == wanted.data && live.comment == comment;
}

DesiredElements::LiveData order_of(const LiveElements& live) {
  return [&live](const ElementKey& key) -> std::optional<Bytes<kDataCapacity>> {
    const auto found = live.find(key);
    return found == live.end() ? std::nullopt : std::optional(found->second.data);
  };
}

Plan compare(const Ruleset& wanted, const Ruleset* written, const DesiredElements& desired, LiveTable live) {
  return Comparison(wanted, written, desired, live).run();
}

Plan changes(const Ruleset& wanted, const Ruleset& written, const DesiredElements& desired) {
  Plan plan;
  std::set<SetRef> old_sets;
  if (&wanted != &written) {
    for (const SetSpec& set : wanted.sets)
      if (find(written.sets, set.name) == nullptr) plan.new_sets.push_back(set);
    for (const SetSpec& set : written.sets)
      if (find(wanted.sets, set.name) == nullptr) {
        plan.old_sets.insert(set.name);
        old_sets.insert(set.ref);
      }
    for (const FlowtableSpec& flowtable : wanted.flowtables)
      if (find(written.flowtables, flowtable.name) == nullptr) plan.new_flowtables.push_back(flowtable);
    for (const FlowtableSpec& flowtable : written.flowtables)
      if (find(wanted.flowtables, flowtable.name) == nullptr) plan.old_flowtables.insert(flowtable.name);
    for (const Chain& chain : wanted.chains) {
      const Chain* before = find(written.chains, chain.name);
      if (before == nullptr) plan.new_chains.push_back(chain);
      if (before == nullptr || *before != chain) plan.rewritten.push_back(chain);
    }
    for (const Chain& chain : written.chains)
      if (find(wanted.chains, chain.name) == nullptr) plan.old_chains.insert(chain.name);
  }
  // A set that goes takes its elements with it.
  for (const auto& [key, change] : desired.changes())
    if (!old_sets.contains(key.set)) add_change(key, change, plan);
  return plan;
}

}  // namespace kubenatd::rules::nftables
