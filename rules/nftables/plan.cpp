#include "rules/nftables/plan.h"

#include <algorithm>
#include <variant>

namespace kubenatd::rules::nftables {
namespace {

bool names_chain(const std::vector<Chain>& chains, std::string_view name) {
  return std::ranges::find(chains, name, &Chain::name) != chains.end();
}

/// What the rules of a chain name.
void add_uses(const Chain& chain, Names& uses) {
  for (const NftRule& rule : chain.rules)
    for (const Statement& statement : rule.statements) {
      if (const auto* go = std::get_if<GoTo>(&statement)) uses.chains.insert(go->chain);
      if (const auto* in = std::get_if<InSet>(&statement)) uses.sets.insert(name_of(in->set));
      if (const auto* to = std::get_if<Translate>(&statement)) uses.sets.insert(name_of(to->map));
      if (const auto* priority = std::get_if<SetPriority>(&statement); priority != nullptr)
        uses.sets.insert(name_of(priority->map));
      if (std::holds_alternative<Remember>(statement) || std::holds_alternative<RecallClient>(statement))
        uses.sets.insert(name_of({SetId::kAffinity, 0}));
      if (std::holds_alternative<AddToFlowtable>(statement)) uses.flowtables.insert(kFlowtable);
    }
}

/// What is missing in the kernel, and a chain that is written needs.
Names needed(const Plan& plan, const Names& held) {
  Names uses;
  std::vector<const Chain*> written;
  const auto add = [&](const Chain& chain) {
    written.push_back(&chain);
    add_uses(chain, uses);
  };
  for (const Chain& chain : plan.rewritten)
    if (!held.chains.contains(chain.name)) add(chain);
  // What is needed is written itself, and may need more.
  for (bool more = true; more;) {
    more = false;
    for (const Chain& chain : plan.new_chains) {
      const bool known = std::ranges::any_of(written, [&](const Chain* one) { return one->name == chain.name; });
      if (known || !uses.chains.contains(chain.name)) continue;
      add(chain);
      more = true;
    }
  }
  return uses;
}

}  // namespace

void write(const Plan& plan, const DesiredElements& desired, PlanWriter& writer) {
  if (plan.delete_table) writer.delete_table();
  writer.create_table();
  for (const ElementKey& key : plan.removed) writer.remove_element(key);
  writer.all_removed();
  for (const SetSpec& set : plan.new_sets) writer.create_set(set);
  for (const FlowtableSpec& flowtable : plan.new_flowtables) writer.create_flowtable(flowtable);
  for (const Chain& chain : plan.new_chains) writer.create_chain(chain);
  for (const std::string& chain : plan.old_chains) writer.flush_chain(chain);
  // All of them before any is filled: rules of others may lead in circles.
  for (const Chain& chain : plan.rewritten)
    if (!names_chain(plan.new_chains, chain.name)) writer.flush_chain(chain.name);
  for (const Chain& chain : plan.rewritten)
    for (const NftRule& rule : chain.rules) writer.add_rule(chain.name, rule);
  for (const auto& [key, value] : plan.added) writer.add_element(key, value);
  if (plan.everything)
    desired.for_each_element([](const SetRef& /*set*/) { return true; },
                             [&](const ElementKey& key, const ElementValue& value) { writer.add_element(key, value); });
  for (const std::string& chain : plan.old_chains) writer.delete_chain(chain);
  for (const std::string& set : plan.old_sets) writer.delete_set(set);
  for (const std::string& flowtable : plan.old_flowtables) writer.delete_flowtable(flowtable);
}

Names hold_back(Plan& plan, const DesiredElements& desired, const Held& held) {
  Names taken;
  for (const std::string& set : plan.drifted.sets)
    if (held.set(set)) taken.sets.insert(set);
  for (const std::string& chain : plan.drifted.chains)
    if (held.chain(chain)) taken.chains.insert(chain);
  for (const std::string& flowtable : plan.drifted.flowtables)
    if (held.flowtable(flowtable)) taken.flowtables.insert(flowtable);
  if (taken.empty()) return taken;

  const Names uses = needed(plan, taken);
  std::erase_if(taken.sets, [&](const std::string& name) {
    return uses.sets.contains(name) && std::ranges::find(plan.new_sets, name, &SetSpec::name) != plan.new_sets.end();
  });
  std::erase_if(taken.chains, [&](const std::string& name) {
    return uses.chains.contains(name) && names_chain(plan.new_chains, name);
  });
  std::erase_if(taken.flowtables, [&](const std::string& name) {
    return uses.flowtables.contains(name) &&
           std::ranges::find(plan.new_flowtables, name, &FlowtableSpec::name) != plan.new_flowtables.end();
  });
  const auto chain_taken = [&](const Chain& chain) { return taken.chains.contains(chain.name); };
  std::erase_if(plan.new_chains, chain_taken);
  std::erase_if(plan.rewritten, chain_taken);
  // Rules of others in a chain that is left alone may still use what is not wanted any more.
  if (!taken.chains.empty()) {
    for (const std::string& name : plan.old_chains) taken.chains.insert(name);
    for (const std::string& name : plan.old_sets) taken.sets.insert(name);
    for (const std::string& name : plan.old_flowtables) taken.flowtables.insert(name);
  }
  std::erase_if(plan.old_chains, [&](const std::string& name) { return taken.chains.contains(name); });
  std::erase_if(plan.old_sets, [&](const std::string& name) { return taken.sets.contains(name); });
  std::erase_if(plan.old_flowtables, [&](const std::string& name) { return taken.flowtables.contains(name); });
  std::erase_if(plan.new_flowtables,
                [&](const FlowtableSpec& flowtable) { return taken.flowtables.contains(flowtable.name); });

  std::set<std::string, std::less<>> missing;
  for (const SetSpec& set : plan.new_sets)
    if (taken.sets.contains(set.name)) missing.insert(set.name);
  std::erase_if(plan.new_sets, [&](const SetSpec& set) { return missing.contains(set.name); });
  const auto waits = [&](const ElementKey& key) {
    const std::string name = name_of(key.set);
    return taken.sets.contains(name) && (missing.contains(name) || !desired.changes().contains(key));
  };
  std::erase_if(plan.removed, waits);
  std::erase_if(plan.added, [&](const auto& element) { return waits(element.first); });
  return taken;
}

}  // namespace kubenatd::rules::nftables
