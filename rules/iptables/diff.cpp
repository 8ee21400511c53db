#include "rules/iptables/diff.h"

#include <algorithm>
#include <iterator>
#include <span>

#include "rules/hostport/compiler.h"
#include "rules/hostport/names.h"

namespace kubenatd::rules::iptables {
namespace {

const ChainId kKubeFirewall{Table::kFilter, ChainName("KUBE-FIREWALL")};

Placement placement_of(const JumpInsertion& insertion) {
  switch (insertion.where) {
    case JumpInsertion::Where::kBefore: return Placement::before(insertion.neighbour);
    case JumpInsertion::Where::kAfter: return Placement::after(insertion.neighbour);
    case JumpInsertion::Where::kFirst: break;
  }
  return Placement::first();
}

/// Of the jumps of ours in a builtin chain of nat, those to chains of host ports.
std::vector<LiveRuleRef> host_port_jumps_of(std::span<const LiveRuleRef> live, Table table, std::string_view chain) {
  std::vector<LiveRuleRef> found;
  if (table != Table::kNat) return found;
  for (const auto& jump : hostport::entry_jumps())
    if (jump.chain == chain)
      std::ranges::copy_if(live, std::back_inserter(found),
                           [digest = digest_of(jump.rule)](const auto& ref) { return ref.digest == digest; });
  return found;
}

}  // namespace

bool Diff::take(const ChainId& chain) {
  if (touched_.contains(chain)) return false;
  if (!may_change(chain.table, chain.name)) {
    if (!is_there(chain)) held_missing_.insert(chain);
    return false;
  }
  touched_.insert(chain);
  return true;
}

void Diff::ensure_table(Table table) {
  any_fresh_ = true;
  if (live_.has_table(table) || !after_.tables.insert(table).second) return;
  plan_.make_table(Part::kFresh, table);
}

void Diff::put_rule(Part part, Table table, std::string_view chain, const Rule& rule, Placement place, bool echo) {
  if (!held_missing_.empty()) {
    const auto target = ChainName::from(jump_target(rule));
    const ChainId missing{table, target.value_or(ChainName())};
    if (held_missing_.erase(missing) != 0) {
      ensure_table(table);
      plan_.make_chain(Part::kFresh, table, missing.name, true);
      made_.insert(missing);
      needed_.insert(missing);
    }
  }
  plan_.add_rule(part, table, chain, rule, place, echo);
}

void Diff::write_whole(const ChainId& id, const Digest& digest, auto&& add_rules) {
  const bool exists = is_there(id);
  if (live_.has(id) && live_.digest(id) == digest) return;
  if (!take(id)) return;
  held_missing_.erase(id);
  if (exists) {
    if (live_.digest(id) != Digest{}) {
      if (!any_visible_) flush_first_ = id.table;
      plan_.flush_chain(Part::kVisible, id.table, id.name);
    }
    any_visible_ = true;
    add_rules(Part::kVisible);
  } else {
    ensure_table(id.table);
    plan_.make_chain(Part::kFresh, id.table, id.name, true);  // its rules are added to those that are there
    add_rules(Part::kFresh);
  }
  after_.contents.push_back({.id = id, .digest = digest, .by_rule = false, .rules = {}, .unknown_handles = false});
}

void Diff::chain(const ChainRules& chain, const Digest& digest) {
  write_whole(chain.id, digest, [&](Part part) {
    for (const Rule& rule : chain.rules) put_rule(part, chain.id.table, chain.id.name, rule);
    count_added(chain.id.table, chain.rules.size());
  });
}

void Diff::shared(const SharedChain& chain) {
  if (!chain.by_rule) {
    ListDigest digest;
    for (const Slot& slot : chain.slots) digest.add(slot.digest);
    write_whole(chain.id, digest.value(), [&](Part part) {
      for (const Slot& slot : chain.slots)
        put_rule(part, chain.id.table, chain.id.name, rule_of(chain, slot, options_));
      count_added(chain.id.table, chain.slots.size());
    });
    return;
  }
  if (touched_.contains(chain.id)) return;
  const bool exists = is_there(chain.id);
  if (!exists && chain.only_if_there) return;
  const SequenceEdit changes = diff_sequences(live_.rules_in(chain.id), chain.digests());
  if (live_.has(chain.id) && changes.empty()) return;
  if (!take(chain.id)) return;
  held_missing_.erase(chain.id);
  if (!exists) {
    ensure_table(chain.id.table);
    plan_.make_chain(Part::kFresh, chain.id.table, chain.id.name, true);
  }
  edit(chain, changes);
}

void Diff::edit(const SharedChain& chain, const SequenceEdit& edit) {
  any_visible_ = true;
  for (const std::uint64_t handle : edit.removed)
    plan_.delete_rule(Part::kVisible, chain.id.table, chain.id.name, handle);
  const std::size_t size = chain.slots.size();
  const auto added = static_cast<std::size_t>(std::ranges::count(edit.handles, std::uint64_t{0}));
  count_added(chain.id.table, added);
  AfterPlan::Content content{
      .id = chain.id, .digest = {}, .by_rule = true, .rules = {}, .unknown_handles = added > kMaxEchoes};
  content.rules.reserve(size);
  for (std::size_t i = 0; i < size; ++i) content.rules.push_back({edit.handles[i], chain.slots[i].digest});
  // From the end, the next rule that stays is known at every step.
  std::vector<std::uint64_t> next(size + 1, 0);
  for (std::size_t i = size; i-- > 0;) next[i] = edit.handles[i] != 0 ? edit.handles[i] : next[i + 1];
  for (std::size_t i = 0; i < size; ++i) {
    if (edit.handles[i] != 0) continue;
    const Placement place = next[i] != 0 ? Placement::before(next[i]) : Placement::last();
    put_rule(Part::kVisible, chain.id.table, chain.id.name, rule_of(chain, chain.slots[i], options_), place,
             !content.unknown_handles);
  }
  after_.contents.push_back(std::move(content));
}

void Diff::gone(const ChainId& chain) {
  if (made_.contains(chain) && take(chain)) {  // KUBE-FIREWALL: wanted only as a place to jump to
    after_.contents.push_back({.id = chain, .digest = {}, .by_rule = false, .rules = {}, .unknown_handles = false});
    return;
  }
  if (!live_.has(chain) || chain == kKubeFirewall) return;
  if (undeletable_.contains(chain)) {
    write_whole(chain, {}, [](Part) {});
    return;
  }
  if (!take(chain)) return;
  after_.removed.push_back(chain);
  // Two steps for each: chains that go may jump to one another.
  plan_.flush_chain(Part::kGarbage, chain.table, chain.name);
}

std::vector<std::uint64_t> Diff::surplus_of(Table table, std::string_view chain, std::span<const Digest> wanted) const {
  const auto& live = live_.jumps(table, chain);
  const auto of_host_ports = host_port_jumps_of(live, table, chain);
  std::vector<LiveRuleRef> ours;
  std::ranges::copy_if(live, std::back_inserter(ours), [&](const LiveRuleRef& ref) {
    return std::ranges::find(of_host_ports, ref) == of_host_ports.end();
  });
  return surplus_jumps(ours, wanted);
}

void Diff::jumps() {
  if (!live_.has(kKubeFirewall) && take(kKubeFirewall)) {
    // Jumped to in both families, whether or not there is anything to block.
    ensure_table(Table::kFilter);
    plan_.make_chain(Part::kFresh, Table::kFilter, kKubeFirewall.name, false);
    after_.contents.push_back(
        {.id = kKubeFirewall, .digest = {}, .by_rule = false, .rules = {}, .unknown_handles = false});
  }
  const auto& all = builtin_jumps();
  for (auto first = all.begin(); first != all.end();) {
    const auto same = [&](const auto& jump) { return jump.table == first->table && jump.chain == first->chain; };
    const auto last = std::find_if_not(first, all.end(), same);
    std::vector<Digest> wanted;
    for (auto jump = first; jump != last; ++jump) wanted.push_back(digest_of(jump->rule));
    const auto& live = live_.jumps(first->table, first->chain);
    const auto missing = missing_jumps(live, wanted);
    const auto surplus = surplus_of(first->table, first->chain, wanted);
    if ((!missing.empty() || !surplus.empty()) && may_change(first->table, first->chain)) {
      any_visible_ = true;
      bases_.emplace_back(first->table, std::string(first->chain));
      if (!live_.has_base(first->table, first->chain)) {
        ensure_table(first->table);
        plan_.make_base_chain(Part::kFresh, first->table, first->chain);
      }
      for (const JumpInsertion& insertion : missing)
        put_rule(Part::kVisible, first->table, first->chain,
                 (first + static_cast<std::ptrdiff_t>(insertion.desired))->rule, placement_of(insertion));
      for (const std::uint64_t handle : surplus) plan_.delete_rule(Part::kVisible, first->table, first->chain, handle);
    }
    first = last;
  }
}

bool Diff::touches_host_ports() const {
  return std::ranges::any_of(hostport::compile_shared(),
                             [&](const auto& shared) { return touched_.contains(shared.id); }) ||
         touched_.contains({Table::kNat, ChainName(hostport::kDnatChain)});
}

void Diff::host_port_jumps() {
  for (const auto& jump : hostport::entry_jumps()) {
    // The portmap plugin adds one that it does not see, and a restored dump all of them again.
    const auto there = host_port_jumps_of(live_.jumps(Table::kNat, jump.chain), Table::kNat, jump.chain);
    if (there.size() == 1) continue;
    const std::pair base{Table::kNat, std::string(jump.chain)};
    if (std::ranges::find(bases_, base) == bases_.end()) {
      // When the chain is missing, our other jumps in it have to make it; so it is there, or they are held back.
      if (!live_.has_base(Table::kNat, jump.chain) || !may_change(Table::kNat, jump.chain)) continue;
      bases_.push_back(base);
      host_port_bases_.insert(base.second);
    }
    any_visible_ = true;
    if (there.empty())
      put_rule(Part::kVisible, Table::kNat, jump.chain, jump.rule, jump.first ? Placement::first() : Placement::last());
    for (std::size_t i = 1; i < there.size(); ++i)
      plan_.delete_rule(Part::kVisible, Table::kNat, jump.chain, there[i].handle);
  }
}

void Diff::finish() {
  for (const ChainId& chain : after_.removed) plan_.delete_chain(Part::kGarbage, chain.table, chain.name);
  // The kernel reports everything that the first message of a transaction does (nf_tables, 6.18): of the flush of a
  // large chain that would be more than a socket takes. To make a table that is there does nothing.
  std::optional<Table> flushed = flush_first_;
  if (!any_visible_ && !after_.removed.empty()) flushed = after_.removed.front().table;
  if (flushed && !any_fresh_) plan_.make_table(Part::kFresh, *flushed);
}

}  // namespace kubenatd::rules::iptables
