#include "agent/dataplane/nftables/sync.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/dataplane/foreign_host_ports.h"
#include "agent/dataplane/kernel_features.h"
#include "agent/dataplane/nftables/found_at_start.h"
#include "agent/dataplane/nftables/live.h"
#include "rules/hostport/names.h"

namespace kubenatd::agent::dataplane::nftables {
namespace {

using namespace rules::nftables;
using netlink::TableEvent;

/// Past so many sets they are all read.
constexpr std::size_t kMaxSets = 4;

const SetSpec* find_set(const Ruleset& ruleset, std::string_view name) {
  const auto found = std::ranges::find(ruleset.sets, name, &SetSpec::name);
  return found == ruleset.sets.end() ? nullptr : &*found;
}

/// Chains or the table in which others may have host ports.
bool concerns_host_ports(const TableEvent& event) {
  if (event.table_name == kPortmapTable) return true;
  if (event.table != rules::Table::kNat) return false;
  return event.chain.empty() || event.chain == rules::hostport::kDnatChain ||
         rules::hostport::is_container_chain(rules::Table::kNat, event.chain);
}

std::unexpected<netlink::CommitFailure> failed(rules::Error error) {
  return std::unexpected(
      netlink::CommitFailure{.error = std::move(error), .generation_changed = false, .unknown = false, .refusals = {}});
}

}  // namespace

rules::ObjectRef NftablesSync::set_object(std::string_view name) const {
  return rules::set_ref(family_, kTable, name);
}

rules::ObjectRef NftablesSync::chain_object(std::string_view name) const {
  return rules::chain_ref(family_, kTable, name);
}

rules::ObjectRef NftablesSync::flowtable_object(std::string_view name) const {
  return rules::flowtable_ref(family_, kTable, name);
}

rules::ObjectRef NftablesSync::table_object() const {
  return rules::table_ref(family_, kTable);
}

std::string NftablesSync::name() const {
  return fmt::format("{} table {}", name_of(family_), kTable);
}

bool NftablesSync::note(const TableEvent& event, Time now) {
  if (event.family != family_) return false;
  if (concerns_host_ports(event)) {
    suspect_host_ports_ = true;
    return wanted_.host_ports.any_wanted();
  }
  if (event.table_name != kTable) return false;
  if (!event.set.empty() && event.set == name_of({SetId::kAffinity, 0}) && event.kind == TableEvent::Kind::kOther)
    return false;  // packets fill it; one that is gone shows with the chains that name it
  if (!written_) {
    suspects_.audit = true;
    return true;
  }
  if (!event.set.empty()) {
    if (disputed_.contains(event.set)) outdated_ = true;
    if (!drift_.suspect(set_object(event.set), now)) return true;
    // An event about elements and one about the set itself look alike.
    suspects_.structure = true;
    if (const SetSpec* set = find_set(*written_, event.set)) suspects_.sets.insert(set->ref);
  } else if (!event.flowtable.empty()) {
    devices_.suspect();
    if (drift_.suspect(flowtable_object(event.flowtable), now)) suspects_.structure = true;
  } else if (!event.chain.empty()) {
    if (drift_.suspect(chain_object(event.chain), now)) suspects_.structure = true;
  } else {  // about the table itself
    outdated_ = true;
    if (drift_.suspect(table_object(), now)) suspects_.audit = true;
  }
  return true;
}

void NftablesSync::require_audit(Dataplane::Audit why, Time now) {
  suspects_.audit = true;
  suspect_host_ports_ = true;
  switch (why) {
    case Dataplane::Audit::kPeriodic:
      wanted_.refused_ports.hurry();
      wanted_.refused_pods.hurry();
      break;
    case Dataplane::Audit::kEventsLost: drift_.suspect_everything(now); break;
  }
}

std::optional<Time> NftablesSync::due() const {
  if (suspects_anything() || wanted_.elements.has_changes() || wanted_.host_ports.has_changes() || cover_.is_up())
    return Time{};
  std::optional<Time> first;
  for (const std::optional<Time>& one : {drift_.due(), wanted_.refused_ports.due(), wanted_.refused_pods.due(),
                                         takeover_.due(), has_flowtable() ? devices_.due() : std::nullopt})
    if (one && (!first || *one < *first)) first = one;
  return first;
}

rules::Result<SyncReport> NftablesSync::run(NfSession& session, const NfSession::Visit& others,
                                            const SyncRequest& request) {
  request_ = request;
  not_taken_out_.reset();
  packing_ = BatchPlanWriter::Packing::kFull;
  take_due();
  auto done = CommitLoop().run(*this, session, others);
  const auto uncovered = cover_.take_down(session);
  if (!done) {
    rules::Error error = std::move(done.error());
    if (not_taken_out_)
      if (const std::string missing = missing_feature(*not_taken_out_); !missing.empty()) error.cause += "; " + missing;
    return std::unexpected(std::move(error));
  }
  if (!uncovered) return std::unexpected(uncovered.error());
  SyncReport report = std::move(*done);
  if (auto devices = sync_devices(session); !devices) return std::unexpected(devices.error());
  report.drift = drift_.take_report();
  if (!drift_.due() && !suspects_anything()) drift_.all_clear();
  return report;
}

rules::Status NftablesSync::sync_devices(NfSession& session) {
  if (!has_flowtable()) return {};
  const auto due = devices_.due();
  if (!due || (*due > request_.now && !request_.everything)) return {};
  const std::string& flowtable = written_->flowtables.front().name;
  const rules::ObjectRef object = flowtable_object(flowtable);
  const auto healed = devices_.sync(session, flowtable, request_.now,
                                    [&] { return drift_.find(object, request_.now) || request_.everything; });
  if (!healed) return std::unexpected(healed.error());
  if (*healed) drift_.heal(object, request_.now);
  return {};
}

void NftablesSync::take_due() {
  const Time until = request_.everything ? Time::max() : request_.now;
  for (const rules::ObjectRef& object : drift_.take_due(until)) {
    if (object.kind == rules::ObjectRef::Kind::kTable) suspects_.audit = true;
    suspects_.structure = true;
    if (object.kind != rules::ObjectRef::Kind::kSet || !written_) continue;
    if (const SetSpec* set = find_set(*written_, object.name)) suspects_.sets.insert(set->ref);
  }
  if (request_.everything) {
    wanted_.refused_ports.hurry();
    wanted_.refused_pods.hurry();
  }
  for (const rules::ServicePortKey& key : wanted_.refused_ports.take_due(request_.now)) wanted_.elements.readmit(key);
  for (const std::string& pod : wanted_.refused_pods.take_due(request_.now)) wanted_.host_ports.readmit(pod);
}

rules::Status NftablesSync::update_host_ports(NfSession& session, SyncReport& report) {
  const bool reads = must_see_others();
  if (reads) {
    auto others = read_foreign_host_ports(session.kernel(), family_);
    if (!others) return std::unexpected(others.error());
    others_ = std::move(*others);
    suspect_host_ports_ = false;
  }
  rules::hostport::HostPorts& host_ports = wanted_.host_ports;
  // Somebody may have thousands of them, and most syncs are about one endpoint.
  if (reads || takeover_.must_look(request_.now))
    host_ports.set_foreign(takeover_.look(others_.claims(), host_ports, request_.now));
  for (rules::hostport::Remark& remark : wanted_.host_ports.take_remarks())
    report.host_ports.push_back(std::move(remark));
  if (wanted_.host_ports.has_changes() && wanted_.host_ports.take_changes().any)
    wanted_.elements.set_host_ports(wanted_.host_ports.in_force());
  return {};
}

std::expected<void, netlink::CommitFailure> NftablesSync::prepare(NfSession& session, netlink::Batch& batch,
                                                                  const Stage& stage, SyncReport& report) {
  outdated_ = false;
  disputed_.clear();
  // First, as nobody else can change the table from then on. What is read of it later is what stays.
  if (suspects_.audit || !written_) {
    if (auto claimed = ownership_.claim(session); !claimed) return failed(claimed.error());
    if (ownership_.take_woken() && written_) drift_.heal(table_object(), request_.now);
  }
  if (auto updated = update_host_ports(session, report); !updated) return failed(updated.error());
  Round& round = round_.emplace();
  round.looked_at = std::exchange(suspects_, {.audit = false, .structure = false, .sets = {}});
  round.ruleset = written_ && !round.looked_at.audit && !wanted_.elements.ruleset_changed()
                      ? written_
                      : std::make_shared<const Ruleset>(wanted_.elements.ruleset());
  auto plan = plan_round(session, round);
  if (!plan) {
    put_back();
    return failed(plan.error());
  }
  report.audited = report.audited || round.looked_at.audit;
  if (round.looked_at.audit || round.looked_at.structure || !plan->new_flowtables.empty()) devices_.look_again();
  round.table_drifted = plan->table_drifted;
  round.drifted = std::move(plan->drifted);
  if (plan->delete_table) cover_.put_up(session, stage, *round.ruleset, wanted_.elements);
  if (!plan->empty()) {
    BatchPlanWriter writer(batch, family_, ownership_.flags(), packing_);
    rules::nftables::write(*plan, wanted_.elements, writer);
    writer.finish();
    round.elements = writer.elements();
    round.chains = plan->rewritten.size() + plan->old_chains.size();
    for (const rules::nftables::Chain& chain : plan->rewritten) round.rules += chain.rules.size();
  }
  remove_dead(batch);
  return {};
}

void NftablesSync::remove_dead(netlink::Batch& batch) const {
  if (!takeover_.ripe().empty())
    remove_entries(batch, family_, dead_entries(others_, takeover_.ripe(), wanted_.host_ports.known_pods()),
                   takeover_.kept());
}

rules::Result<Plan> NftablesSync::plan_round(NfSession& session, Round& round) {
  Suspects& look = round.looked_at;
  const bool in_dispute = drift_.due().has_value();
  if (written_ && !look.audit && !look.structure && look.sets.empty() && !in_dispute)
    return changes(*round.ruleset, *written_, wanted_.elements);
  if (in_dispute) add_disputed_sets(look);
  look.audit = look.audit || !written_ || look.sets.size() > kMaxSets;
  auto live = read_live(session, look, *round.ruleset);
  if (!live) return std::unexpected(live.error());
  if (!written_) {
    found_at_start_ = udp_frontends_of(live->elements, family_);
    wanted_.elements.adopt_order(order_of(live->elements));
  }
  Plan plan = compare(*round.ruleset, written_.get(), wanted_.elements, std::move(*live));
  hold_back(plan);
  return plan;
}

rules::Result<LiveTable> NftablesSync::read_live(NfSession& session, const Suspects& suspects, const Ruleset& ruleset) {
  const auto structure = read_nftables_structure(session.kernel(), family_);
  if (!structure) return std::unexpected(structure.error());
  LiveTable live{.structure = compare_structure(*structure, ruleset, family_),
                 .replace = ownership_.must_replace(),
                 .read = {},
                 .elements = {}};
  for (const SetSpec& set : ruleset.sets) {
    if (set.dynamic || (!suspects.audit && !suspects.sets.contains(set.ref))) continue;
    live.read.insert(set.ref);
    if (!live.structure.sets.contains(set.name)) continue;
    if (auto read = read_nftables_elements(session.kernel(), family_, set.ref, live.elements); !read)
      return std::unexpected(read.error());
  }
  return live;
}

void NftablesSync::add_disputed_sets(Suspects& suspects) {
  std::set<SetRef> changed;
  for (const auto& [key, change] : wanted_.elements.changes()) changed.insert(key.set);
  for (const SetRef& set : changed) {
    if (drift_.held_until(set_object(name_of(set))) <= request_.now) continue;
    suspects.sets.insert(set);
    disputed_.insert(name_of(set));
  }
}

void NftablesSync::hold_back(Plan& plan) {
  const auto must_wait = [&](const rules::ObjectRef& object) {
    return !drift_.find(object, request_.now) && !request_.everything;
  };
  if (plan.table_drifted) {
    // What is wanted now cannot be written without a table.
    if (must_wait(table_object()) && !wanted_.elements.has_changes()) plan = {};
    return;
  }
  const Names taken = rules::nftables::hold_back(
      plan, wanted_.elements,
      {.set = [&](std::string_view name) { return must_wait(set_object(name)); },
       .chain = [&](std::string_view name) { return must_wait(chain_object(name)); },
       .flowtable = [&](std::string_view name) { return must_wait(flowtable_object(name)); }});
  std::erase_if(plan.drifted.sets, [&](const std::string& name) { return taken.sets.contains(name); });
  std::erase_if(plan.drifted.chains, [&](const std::string& name) { return taken.chains.contains(name); });
  std::erase_if(plan.drifted.flowtables, [&](const std::string& name) { return taken.flowtables.contains(name); });
}

std::size_t NftablesSync::notifications(const netlink::Batch& batch) const {
  return std::max(batch.messages(), round_ ? round_->elements : 0);
}

void NftablesSync::put_back() {
  if (!round_) return;
  suspects_.audit = suspects_.audit || round_->looked_at.audit;
  suspects_.structure = suspects_.structure || round_->looked_at.structure;
  suspects_.sets.merge(round_->looked_at.sets);
  // What was found stands in the table as it is; the next comparison finds it again.
  if (round_->table_drifted || !round_->drifted.empty()) suspects_.structure = true;
  round_.reset();
}

rules::Result<bool> NftablesSync::committed(NfSession& /*session*/, const netlink::CommitReport& /*commit*/,
                                            SyncReport& report) {
  const Round round = std::move(*std::exchange(round_, std::nullopt));
  report.chains += round.chains;
  report.elements += round.elements;
  report.table_rules += round.rules;
  if (round.table_drifted) drift_.heal(table_object(), request_.now);
  for (const std::string& set : round.drifted.sets) drift_.heal(set_object(set), request_.now);
  for (const std::string& chain : round.drifted.chains) drift_.heal(chain_object(chain), request_.now);
  for (const std::string& name : round.drifted.flowtables) drift_.heal(flowtable_object(name), request_.now);
  for (const rules::ServicePortKey& key : wanted_.refused_ports.succeeded()) report.in_force.push_back(key.first);
  for (const std::string& pod : wanted_.refused_pods.succeeded()) report.in_force.push_back(pod);
  if (!takeover_.ripe().empty()) {
    report.removed = takeover_.removed();
    suspect_host_ports_ = true;
  }
  written_ = round.ruleset;
  ownership_.committed();
  wanted_.elements.committed();
  disputed_.clear();
  return true;
}

}  // namespace kubenatd::agent::dataplane::nftables
