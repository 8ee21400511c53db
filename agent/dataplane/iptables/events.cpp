#include <algorithm>

#include "agent/dataplane/iptables/sync.h"
#include "netlink/core/names.h"
#include "netlink/core/rule_attributes.h"
#include "rules/hostport/compiler.h"
#include "rules/hostport/names.h"

namespace kubenatd::agent::dataplane::iptables {
namespace {

using netlink::TableEvent;
using rules::ChainId;
using rules::ChainName;
using rules::Table;

/// A builtin chain with jumps of ours.
bool is_base(Table table, std::string_view chain) {
  return std::ranges::any_of(rules::iptables::builtin_jumps(),
                             [&](const auto& jump) { return jump.table == table && jump.chain == chain; });
}

/// A chain that a jump of ours in this builtin chain leads to.
bool leads_to_own(Table table, std::string_view chain, std::string_view target) {
  if (target.empty()) return false;
  const auto leads_there = [&](const auto& jump) { return jump.chain == chain && jump_target(jump.rule) == target; };
  return std::ranges::any_of(rules::iptables::builtin_jumps(),
                             [&](const auto& jump) { return jump.table == table && leads_there(jump); }) ||
         (table == Table::kNat && std::ranges::any_of(rules::hostport::entry_jumps(), leads_there));
}

}  // namespace

bool IptablesSync::follows(Table table, std::string_view chain) const {
  if (is_followed(table, chain)) return true;
  if (!rules::hostport::is_container_chain(table, chain)) return false;
  const ChainId id{table, ChainName(chain)};
  return live_.has(id) || desired_.wants(id);
}

bool IptablesSync::note(const TableEvent& event, Time now) {
  if (event.family != family_) return false;
  if (!event.table) {
    const bool concerns = event.table_name == kPortmapTable;
    suspect_host_ports_ = suspect_host_ports_ || concerns;
    return concerns;
  }
  const Table table = *event.table;
  if (table == Table::kMangle) return false;
  switch (event.kind) {
    case TableEvent::Kind::kTableDeleted: require_audit(Dataplane::Audit::kEventsLost, now); return true;
    case TableEvent::Kind::kChainAdded:
    case TableEvent::Kind::kChainDeleted:
    case TableEvent::Kind::kRuleAdded:
    case TableEvent::Kind::kRuleDeleted: break;
    default: return false;
  }
  if (rules::hostport::is_container_chain(table, event.chain) && !follows(table, event.chain)) {
    // Another writer's: it may serve other ports now.
    suspect_claims_ = true;
    return true;
  }
  if (!follows(table, event.chain)) return note_base(event, table, now);
  const ChainId chain{table, ChainName(event.chain)};
  const bool free = drift_.suspect(rules::chain_ref(family_, name_of(table), event.chain), now);
  (free ? suspects_ : stale_).insert(chain);
  return true;
}

bool IptablesSync::note_base(const TableEvent& event, Table table, Time now) {
  // Builtin chains are busy with other people's rules: only the loss of one of ours matters, one more that leads to a
  // chain of ours, and that a chain is there which we were about to make.
  if (!live_.has_base(table, event.chain)) {
    if (event.kind != TableEvent::Kind::kChainAdded || !is_base(table, event.chain)) return false;
    suspect_bases_.insert({table, std::string(event.chain)});
    return true;
  }
  const auto& jumps = live_.jumps(table, event.chain);
  const bool ours = event.kind == TableEvent::Kind::kChainDeleted ||
                    (event.kind == TableEvent::Kind::kRuleDeleted &&
                     std::ranges::find(jumps, event.handle, &rules::LiveRuleRef::handle) != jumps.end()) ||
                    (event.kind == TableEvent::Kind::kRuleAdded &&
                     leads_to_own(table, event.chain, netlink::jump_of(event.expressions)));
  if (ours && drift_.suspect(rules::chain_ref(family_, name_of(table), event.chain), now))
    suspect_bases_.insert({table, std::string(event.chain)});
  return ours;
}

void IptablesSync::look_again(const rules::ObjectRef& object) {
  const auto table = netlink::table_of(object.table);
  if (!table) return;
  if (is_base(*table, object.name)) {
    suspect_bases_.insert({*table, object.name});
    return;
  }
  const ChainId chain{*table, ChainName(object.name)};
  stale_.erase(chain);
  suspects_.insert(chain);
}

void IptablesSync::require_audit(Dataplane::Audit why, Time now) {
  audit_ = true;
  if (why == Dataplane::Audit::kPeriodic) {
    refusals_.hurry();
  } else {
    drift_audit_ = true;
    drift_.suspect_everything(now);
  }
}

bool IptablesSync::has_work() const {
  return audit_ || jumps_pending_ || suspect_claims_ || suspect_host_ports_ || !suspects_.empty() ||
         !suspect_bases_.empty() || !pending_.empty() || desired_.has_changes();
}

std::optional<Time> IptablesSync::due() const {
  if (has_work()) return Time{};
  std::optional<Time> first;
  for (const std::optional<Time>& one : {drift_.due(), refusals_.due(), takeover_.due()})
    if (one && (!first || *one < *first)) first = one;
  return first;
}

bool IptablesSync::settled() const {
  return loaded_ && pending_.empty() && !desired_.has_changes() && (!audit_ || drift_audit_);
}

}  // namespace kubenatd::agent::dataplane::iptables
