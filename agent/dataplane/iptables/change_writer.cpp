#include "agent/dataplane/iptables/change_writer.h"

#include <algorithm>

#include "netlink/iptables/writer.h"
#include "rules/hostport/compiler.h"
#include "rules/hostport/names.h"

namespace kubenatd::agent::dataplane::iptables {
namespace {

using netlink::Batch;
using netlink::iptables::Placement;
using rules::ChainId;
using rules::Table;
using rules::iptables::SharedChain;
using rules::iptables::Slot;

/// Past this many new rules in one chain it is cheaper to list the chain afterwards than to have each one reported.
constexpr std::size_t kMaxEchoes = 256;

const ChainId kKubeFirewall{Table::kFilter, rules::ChainName("KUBE-FIREWALL")};

}  // namespace

void ChangeWriter::ensure_table(Batch& batch, Table table) {
  if (live_.has_table(table) || !ensured_.insert(table).second) return;
  netlink::iptables::add_table(batch, family_, table);
}

void ChangeWriter::write_whole(const ChainId& id, const rules::Digest& digest, auto&& add_rules) {
  const bool exists = live_.has(id);
  if (exists && live_.digest(id) == digest) return;
  if (!touched_.insert(id).second) return;
  if (exists) {
    if (live_.digest(id) != rules::Digest{}) netlink::iptables::flush_chain(visible_, family_, id.table, id.name);
    add_rules(visible_);
  } else {
    // Before, not after: so the last transaction is never empty.
    stage_if_large();
    ensure_table(fresh_, id.table);
    netlink::iptables::add_chain(fresh_, family_, id.table, id.name,
                                 true);  // its rules are added to those that are there
    add_rules(fresh_);
  }
  contents_.push_back({.id = id, .digest = digest, .by_rule = false, .rules = {}, .unknown_handles = false});
}

void ChangeWriter::chain(const rules::ChainRules& chain, const rules::Digest& digest, std::string_view /*owner*/) {
  write_whole(chain.id, digest, [&](Batch& batch) {
    for (const rules::Rule& rule : chain.rules)
      netlink::iptables::add_rule(batch, family_, chain.id.table, chain.id.name, rule);
    count_added(chain.id.table, chain.rules.size());
  });
}

void ChangeWriter::shared(const SharedChain& chain) {
  if (!chain.by_rule) {
    rules::ListDigest digest;
    for (const Slot& slot : chain.slots) digest.add(slot.digest);
    write_whole(chain.id, digest.value(), [&](Batch& batch) {
      for (const Slot& slot : chain.slots)
        netlink::iptables::add_rule(batch, family_, chain.id.table, chain.id.name, desired_.rule_of(chain, slot));
      count_added(chain.id.table, chain.slots.size());
    });
    return;
  }
  if (touched_.contains(chain.id)) return;
  const bool exists = live_.has(chain.id);
  if (!exists && chain.only_if_there) return;
  const std::vector<rules::Digest> wanted = chain.digests();
  const rules::SequenceEdit edit = rules::diff_sequences(live_.rules_in(chain.id), wanted);
  if (exists && edit.empty()) return;
  touched_.insert(chain.id);
  if (!exists) {
    ensure_table(fresh_, chain.id.table);
    netlink::iptables::add_chain(fresh_, family_, chain.id.table, chain.id.name, true);
  }
  for (const std::uint64_t handle : edit.removed)
    netlink::iptables::delete_rule(visible_, family_, chain.id.table, chain.id.name, handle);

  const auto added = static_cast<std::size_t>(std::ranges::count(edit.handles, std::uint64_t{0}));
  count_added(chain.id.table, added);
  NewContent content{.id = chain.id, .digest = {}, .by_rule = true, .rules = {}, .unknown_handles = added > kMaxEchoes};
  content.rules.reserve(wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) content.rules.push_back({edit.handles[i], wanted[i]});
  // From the end, the next rule that stays is known at every step.
  std::vector<std::uint64_t> next(wanted.size() + 1, 0);
  for (std::size_t i = wanted.size(); i-- > 0;) next[i] = edit.handles[i] != 0 ? edit.handles[i] : next[i + 1];
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (edit.handles[i] != 0) continue;
    const Placement place = next[i] != 0 ? Placement::before(next[i]) : Placement::last();
    netlink::iptables::add_rule(visible_, family_, chain.id.table, chain.id.name,
                                desired_.rule_of(chain, chain.slots[i]), place, !content.unknown_handles);
  }
  contents_.push_back(std::move(content));
}

void ChangeWriter::gone(const ChainId& chain) {
  if (!live_.has(chain) || chain == kKubeFirewall) return;
  if (undeletable_.contains(chain)) {
    write_whole(chain, {}, [](Batch&) {});
    return;
  }
  if (!touched_.insert(chain).second) return;
  removed_.push_back(chain);
  // Two steps for each: chains that go may jump to one another.
  netlink::iptables::flush_chain(garbage_, family_, chain.table, chain.name);
}

void ChangeWriter::jumps() {
  if (!live_.has(kKubeFirewall) && std::ranges::find(contents_, kKubeFirewall, &NewContent::id) == contents_.end()) {
    // Jumped to in both families, whether or not there is anything to block.
    ensure_table(fresh_, Table::kFilter);
    netlink::iptables::add_chain(fresh_, family_, Table::kFilter, kKubeFirewall.name);
    contents_.push_back({.id = kKubeFirewall, .digest = {}, .by_rule = false, .rules = {}, .unknown_handles = false});
    touched_.insert(kKubeFirewall);
  }
  const auto& all = rules::iptables::builtin_jumps();
  for (auto first = all.begin(); first != all.end();) {
    const auto same = [&](const auto& jump) { return jump.table == first->table && jump.chain == first->chain; };
    const auto last = std::find_if_not(first, all.end(), same);
    std::vector<rules::Digest> wanted;
    for (auto jump = first; jump != last; ++jump) wanted.push_back(rules::digest_of(jump->rule));
    const auto missing = rules::missing_jumps(live_.jumps(first->table, first->chain), wanted);
    if (!missing.empty()) {
      bases_.emplace_back(first->table, std::string(first->chain));
      if (!live_.has_base(first->table, first->chain)) {
        ensure_table(fresh_, first->table);
        netlink::iptables::add_base_chain(fresh_, family_, first->table, first->chain);
      }
    }
    for (const rules::JumpInsertion& insertion : missing) {
      using Where = rules::JumpInsertion::Where;
      const Placement place = insertion.where == Where::kBefore  ? Placement::before(insertion.neighbour)
                              : insertion.where == Where::kAfter ? Placement::after(insertion.neighbour)
                                                                 : Placement::first();
      netlink::iptables::add_rule(visible_, family_, first->table, first->chain,
                                  (first + static_cast<long>(insertion.desired))->rule, place);
    }
    first = last;
  }
  if (!desired_.host_ports().empty()) host_port_jumps();
}

bool ChangeWriter::touches_host_ports() const {
  return std::ranges::any_of(rules::hostport::compile_shared(),
                             [&](const auto& shared) { return touched_.contains(shared.id); }) ||
         touched_.contains({Table::kNat, rules::ChainName(rules::hostport::kDnatChain)});
}

void ChangeWriter::host_port_jumps() {
  for (const auto& jump : rules::hostport::entry_jumps()) {
    const auto& there = live_.jumps(Table::kNat, jump.chain);
    const rules::Digest wanted = rules::digest_of(jump.rule);
    if (std::ranges::find(there, wanted, &rules::LiveRuleRef::digest) != there.end()) continue;
    const std::pair base{Table::kNat, std::string(jump.chain)};
    // The chain is there, or was made for our other jumps.
    if (std::ranges::find(bases_, base) == bases_.end()) {
      bases_.push_back(base);
      host_port_bases_.insert(base.second);
    }
    netlink::iptables::add_rule(visible_, family_, Table::kNat, jump.chain, jump.rule,
                                jump.first ? Placement::first() : Placement::last());
  }
}

void ChangeWriter::stage_if_large() {
  if (!stage_ || fresh_.bytes() < kStageBytes) return;
  stage_(fresh_);
  fresh_.clear();
}

Batch& ChangeWriter::finish() {
  for (const ChainId& chain : removed_) netlink::iptables::delete_chain(garbage_, family_, chain.table, chain.name);
  fresh_.append(visible_);
  visible_.release();
  fresh_.append(garbage_);
  garbage_.release();
  return fresh_;
}

std::vector<ChainId> ChangeWriter::apply_to(LiveTables& live, const std::vector<std::uint64_t>& handles) const {
  for (const Table table : ensured_) live.add_table(table);
  std::vector<ChainId> unknown;
  std::size_t next = 0;
  for (const NewContent& content : contents_) {
    if (!content.by_rule) {
      live.set_digest(content.id, content.digest);
      continue;
    }
    std::vector<rules::LiveRuleRef> refs = content.rules;
    bool complete = !content.unknown_handles;
    for (rules::LiveRuleRef& ref : refs) {
      if (ref.handle != 0 || !complete) continue;
      if (next < handles.size()) {
        ref.handle = handles[next++];
      } else {
        complete = false;
      }
    }
    if (complete) {
      live.set_rules(content.id, std::move(refs));
    } else {
      unknown.push_back(content.id);
    }
  }
  for (const ChainId& chain : removed_) live.erase(chain);
  return unknown;
}

}  // namespace kubenatd::agent::dataplane::iptables
