#include "rules/iptables/desired.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "rules/iptables/address_tree.h"

namespace kubenatd::rules::iptables {
namespace {

constexpr std::array kSharedInOrder{DispatchChain::kFilterServices, DispatchChain::kFilterExternalServices,
                                    DispatchChain::kFilterNodePorts, DispatchChain::kFilterProxyFirewall,
                                    DispatchChain::kNatNodePorts};

std::size_t index_of(DispatchChain chain) {
  return static_cast<std::size_t>(chain);
}

Digest content_digest(const SharedChain& chain) {
  ListDigest digest;
  for (const Slot& slot : chain.slots) digest.add(slot.digest);
  return digest.value();
}

Rule branch_rule(const TreeChain::Branch& branch) {
  Rule rule;
  rule.destination = AddressMatch{branch.prefix};
  rule.target = Jump{std::string(branch.chain.view())};
  return rule;
}

}  // namespace

DesiredTables::DesiredTables(CompileOptions options) : options_(std::move(options)) {
  changed_shared_.fill(true);
  count_fixed();
}

void DesiredTables::count_fixed() {
  fixed_rules_ = {};
  for (const ChainRules& fixed : compile_fixed(options_))
    fixed_rules_[static_cast<std::size_t>(fixed.id.table)] += fixed.rules.size();
}

void DesiredTables::guard_localhost() {
  if (std::exchange(options_.guard_localhost, true)) return;
  changed_fixed_ = true;
  count_fixed();
}

void DesiredTables::set_options(CompileOptions options) {
  options.guard_localhost = options.guard_localhost || options_.guard_localhost;
  if (options == options_) return;
  options_ = std::move(options);
  changed_fixed_ = true;
  changed_shared_.fill(true);
  count_fixed();
  ports_.mark_all_changed();
}

void DesiredTables::move_claims(Ports::Entry& entry, const ServicePortView* next, bool refused) {
  const std::vector<Frontend> wanted = next == nullptr ? std::vector<Frontend>() : frontends_of(*next);
  for (const Frontend& frontend : frontends_of(entry.second.view))
    if (std::ranges::find(wanted, frontend) == wanted.end()) claims_.remove(frontend, entry);
  if (next == nullptr) return;
  const Reach reach = reach_of(*next);
  for (const Frontend& frontend : wanted)
    claims_.put(frontend, entry, refused ? Usability::kRefused : usability_of(*next, frontend, reach));
}

void DesiredTables::upsert(ServicePortView view) {
  const Ports::Place place = ports_.place_for(view);
  if (place.entry == nullptr) return;
  move_claims(*place.entry, &view, false);
  place.entry->second.view = std::move(view);
  place.entry->second.refused = false;
  ports_.mark_changed(place.entry->first);
}

void DesiredTables::erase(const ServicePortKey& key) {
  Ports::Entry* found = ports_.find(key);
  if (found == nullptr) return;
  move_claims(*found, nullptr, false);
  Compiled& compiled = found->second.state;
  set_dispatch(compiled, {});
  port_rules_ -= compiled.rules;
  for (const ChainName& name : compiled.chains) {
    owners_.erase(name);
    orphans_.push_back(name);
  }
  ports_.erase(key);
}

void DesiredTables::refuse(const ServicePortKey& key) {
  Ports::Entry* found = ports_.find(key);
  if (found == nullptr || found->second.refused) return;
  move_claims(*found, &found->second.view, true);
  found->second.refused = true;
  ports_.mark_changed(key);
}

void DesiredTables::readmit(const ServicePortKey& key) {
  Ports::Entry* found = ports_.find(key);
  if (found == nullptr || !found->second.refused) return;
  move_claims(*found, &found->second.view, false);
  found->second.refused = false;
  ports_.mark_changed(key);
}

bool DesiredTables::has_changes() const {
  return changed_fixed_ || ports_.has_changed() || !orphans_.empty() ||
         std::ranges::find(changed_shared_, true) != changed_shared_.end();
}

void DesiredTables::mark_shared(const std::vector<DispatchEntry>& entries) {
  for (const DispatchEntry& entry : entries) changed_shared_[index_of(entry.chain)] = true;
}

void DesiredTables::set_dispatch(Compiled& port, std::vector<DispatchEntry> dispatch) {
  const auto same = [](const DispatchEntry& a, const DispatchEntry& b) {
    return a.chain == b.chain && a.digest == b.digest;
  };
  if (std::ranges::equal(port.dispatch, dispatch, same)) return;
  mark_shared(port.dispatch);
  mark_shared(dispatch);
  for (const DispatchEntry& entry : port.dispatch) {
    --dispatch_rules_[index_of(entry.chain)];
    if (entry.chain != DispatchChain::kNatServices) continue;
    const auto use = address_uses_.find(entry.address);
    if (--use->second == 0) address_uses_.erase(use);
  }
  for (const DispatchEntry& entry : dispatch) {
    ++dispatch_rules_[index_of(entry.chain)];
    if (entry.chain == DispatchChain::kNatServices) ++address_uses_[entry.address];
  }
  port.dispatch = std::move(dispatch);
}

void DesiredTables::recompile(const ServicePortKey& key, Ports::Port& entry, ChainSink& sink) {
  const CompiledServicePort compiled = entry.refused ? CompiledServicePort{} : compile(entry.view, options_);
  Compiled& port = entry.state;
  std::vector<DispatchEntry> dispatch;
  dispatch.reserve(compiled.dispatch.size());
  for (const DispatchRule& one : compiled.dispatch) {
    const bool by_address = one.chain == DispatchChain::kNatServices && one.rule.destination;
    dispatch.push_back({digest_of(one.rule), by_address ? one.rule.destination->prefix.address : Address{}, one.chain});
  }
  set_dispatch(port, std::move(dispatch));

  std::vector<ChainName> before = std::move(port.chains);
  port.chains.clear();
  port.chains.reserve(compiled.chains.size());
  port_rules_ -= std::exchange(port.rules, 0);
  for (const ChainRules& chain : compiled.chains) {
    const Digest digest = digest_of(chain.rules);
    owners_.insert_or_assign(chain.id.name, Owned{digest, &key});
    port.chains.push_back(chain.id.name);
    port.rules += static_cast<std::uint32_t>(chain.rules.size());
    sink.chain(chain, digest);
  }
  port_rules_ += port.rules;
  std::erase_if(before,
                [&](const ChainName& name) { return std::ranges::find(port.chains, name) != port.chains.end(); });
  for (const ChainName& name : before) owners_.erase(name);
  drop_chains(before, sink);
}

void DesiredTables::drop_chains(const std::vector<ChainName>& chains, ChainSink& sink) {
  for (const ChainName& name : chains)
    if (!owners_.contains(name)) sink.gone({Table::kNat, name});
}

SharedChain DesiredTables::linear_chain(DispatchChain which) const {
  SharedChain chain{.id = chain_of(which), .by_rule = true, .slots = {}, .literals = {}, .only_if_there = false};
  for (const auto& [key, port] : ports_) {
    const std::vector<DispatchEntry>& dispatch = port.state.dispatch;
    for (std::uint32_t i = 0; i < dispatch.size(); ++i)
      if (dispatch[i].chain == which) chain.slots.push_back({dispatch[i].digest, &port.view, i});
  }
  if (which == DispatchChain::kNatServices)
    for (Rule& rule : compile_node_port_tail(options_)) chain.add_literal(std::move(rule));
  return chain;
}

bool DesiredTables::wants_tree() const {
  switch (options_.form) {
    case DispatchForm::kLinear: return false;
    case DispatchForm::kTree: return true;
    case DispatchForm::kAuto: return address_uses_.size() > options_.tree_threshold;
  }
  return false;
}

std::vector<SharedChain> DesiredTables::tree_chains() const {
  std::vector<Address> addresses;
  addresses.reserve(address_uses_.size());
  for (const auto& [address, uses] : address_uses_) addresses.push_back(address);
  // Slots of one address stand together: positions by address, filled in the order of service ports.
  std::vector<std::vector<Slot>> by_address(addresses.size());
  for (const auto& [key, port] : ports_) {
    for (std::uint32_t i = 0; i < port.state.dispatch.size(); ++i) {
      const DispatchEntry& entry = port.state.dispatch[i];
      if (entry.chain != DispatchChain::kNatServices) continue;
      const auto place = std::ranges::lower_bound(addresses, entry.address) - addresses.begin();
      by_address[static_cast<std::size_t>(place)].push_back({entry.digest, &port.view, i});
    }
  }
  std::vector<SharedChain> chains;
  for (const TreeChain& tree : arrange_tree(addresses)) {
    SharedChain chain{
        .id = {Table::kNat, tree.name}, .by_rule = chains.empty(), .slots = {}, .literals = {}, .only_if_there = false};
    for (const TreeChain::Branch& branch : tree.branches) chain.add_literal(branch_rule(branch));
    for (const std::size_t position : tree.exact)
      chain.slots.insert(chain.slots.end(), by_address[position].begin(), by_address[position].end());
    chains.push_back(std::move(chain));
  }
  for (Rule& rule : compile_node_port_tail(options_)) chains.front().add_literal(std::move(rule));
  // Chains that are jumped to come first.
  std::ranges::reverse(chains);
  return chains;
}

std::vector<SharedChain> DesiredTables::services_chains() const {
  if (wants_tree()) return tree_chains();
  std::vector<SharedChain> one;
  one.push_back(linear_chain(DispatchChain::kNatServices));
  return one;
}

void DesiredTables::rearrange_services(ChainSink& sink) {
  std::map<ChainName, Digest> tree;
  services_literals_ = 0;
  for (const SharedChain& chain : services_chains()) {
    services_literals_ += chain.literals.size();
    if (chain.by_rule) {
      sink.shared(chain);
      continue;
    }
    const Digest digest = content_digest(chain);
    tree.emplace(chain.id.name, digest);
    const auto before = tree_.find(chain.id.name);
    if (before == tree_.end() || before->second != digest) sink.shared(chain);
  }
  std::vector<ChainName> gone;
  for (const auto& [name, digest] : tree_)
    if (!tree.contains(name)) gone.push_back(name);
  tree_ = std::move(tree);
  drop_chains(gone, sink);
}

void DesiredTables::take_changes(ChainSink& sink) {
  if (changed_fixed_)
    for (const ChainRules& chain : compile_fixed(options_)) sink.chain(chain, digest_of(chain.rules));
  changed_fixed_ = false;
  for (const ServicePortKey& key : ports_.take_changed())
    if (Ports::Entry* found = ports_.find(key)) recompile(found->first, found->second, sink);
  drop_chains(std::exchange(orphans_, {}), sink);
  const auto changed = std::exchange(changed_shared_, {});
  for (const DispatchChain chain : kSharedInOrder)
    if (changed[index_of(chain)]) sink.shared(linear_chain(chain));
  if (changed[index_of(DispatchChain::kNatServices)]) rearrange_services(sink);
}

void DesiredTables::replay_port(const Ports::Port& port, const std::set<ChainId>& only, ChainSink& sink) const {
  if (port.refused) return;
  for (const ChainRules& chain : compile(port.view, options_).chains)
    if (only.contains(chain.id)) sink.chain(chain, digest_of(chain.rules));
}

void DesiredTables::replay(const std::set<ChainId>& chains, ChainSink& sink) const {
  for (const ChainRules& fixed : compile_fixed(options_))
    if (chains.contains(fixed.id)) sink.chain(fixed, digest_of(fixed.rules));
  std::set<const ServicePortKey*> owners;
  bool services = false;
  for (const ChainId& id : chains) {
    services = services || id == chain_of(DispatchChain::kNatServices) || tree_.contains(id.name);
    if (id.table != Table::kNat) continue;
    const auto owned = owners_.find(id.name);
    if (owned != owners_.end()) owners.insert(owned->second.key);
  }
  for (const ServicePortKey* key : owners) replay_port(ports_.find(*key)->second, chains, sink);
  for (const DispatchChain chain : kSharedInOrder)
    if (chains.contains(chain_of(chain))) sink.shared(linear_chain(chain));
  if (services) {
    for (const SharedChain& chain : services_chains())
      if (chains.contains(chain.id)) sink.shared(chain);
  }
  for (const ChainId& id : chains)
    if (!wants(id)) sink.gone(id);
}

void DesiredTables::replay_all(ChainSink& sink) const {
  // What is pending is not compiled yet, and a look must not do that here.
  DesiredTables fresh(options_);
  for_each_view([&](const ServicePortView& view) { fresh.upsert(view); });
  fresh.take_changes(sink);
}

std::size_t DesiredTables::rules(Table table) const {
  std::size_t count = table == Table::kNat ? port_rules_ + services_literals_ : 0;
  for (std::size_t i = 0; i < kDispatchChains; ++i)
    if (chain_of(static_cast<DispatchChain>(i)).table == table) count += dispatch_rules_[i];
  return count + fixed_rules_[static_cast<std::size_t>(table)];
}

bool DesiredTables::wants(const ChainId& chain) const {
  if (chain.table == Table::kNat && (owners_.contains(chain.name) || tree_.contains(chain.name))) return true;
  for (std::size_t i = 0; i < kDispatchChains; ++i)
    if (chain_of(static_cast<DispatchChain>(i)) == chain) return true;
  return std::ranges::any_of(compile_fixed(options_), [&](const ChainRules& fixed) { return fixed.id == chain; });
}

void DesiredTables::for_each_wanted(const std::function<void(const WantedChain&)>& visit) const {
  for (const ChainRules& fixed : compile_fixed(options_)) visit({fixed.id, digest_of(fixed.rules)});
  for (const auto& [name, owned] : owners_) visit({{Table::kNat, name}, owned.digest});
  for (const auto& [name, digest] : tree_) visit({{Table::kNat, name}, digest});
  for (std::size_t i = 0; i < kDispatchChains; ++i) visit({chain_of(static_cast<DispatchChain>(i)), std::nullopt});
}

std::optional<ServicePortKey> DesiredTables::owner_of(const ChainId& chain) const {
  if (chain.table != Table::kNat) return std::nullopt;
  const auto found = owners_.find(chain.name);
  if (found == owners_.end()) return std::nullopt;
  return *found->second.key;
}

std::optional<ServicePortKey> DesiredTables::owner_of(Table table, const Digest& rule) const {
  for (const auto& [key, port] : ports_)
    for (const DispatchEntry& entry : port.state.dispatch)
      if (entry.digest == rule && chain_of(entry.chain).table == table) return key;
  return std::nullopt;
}

const ServicePortView* DesiredTables::view_of(const ServicePortKey& key) const {
  const Ports::Entry* found = ports_.find(key);
  return found == nullptr ? nullptr : &found->second.view;
}

void DesiredTables::for_each_view(const std::function<void(const ServicePortView&)>& visit) const {
  for (const auto& [key, port] : ports_)
    if (!port.refused) visit(port.view);
}

}  // namespace kubenatd::rules::iptables
