#include "agent/dataplane/iptables/sync.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "netlink/core/names.h"
#include "rules/hostport/compiler.h"
#include "rules/hostport/names.h"

namespace kubenatd::agent::dataplane::iptables {
namespace {

using rules::ChainId;
using rules::ChainName;
using rules::ObjectRef;
using rules::Table;

/// Past this many changed chains one dump of everything is cheaper than one of each.
constexpr std::size_t kMaxSuspects = 256;

const ChainId kHostPortEntries{Table::kNat, ChainName(rules::hostport::kDnatChain)};

netlink::CommitFailure failure_of(rules::Error error) {
  return {.error = std::move(error), .generation_changed = false, .unknown = false, .refusals = {}};
}

}  // namespace

std::string IptablesSync::name() const {
  return fmt::format("{} tables", name_of(family_));
}

void IptablesSync::begin(const SyncRequest& request) {
  now_ = request.now;
  everything_ = request.everything;
  if (everything_) refusals_.hurry();
  for (const ObjectRef& object : drift_.take_due(everything_ ? Time::max() : now_)) look_again(object);
  refusals_.readmit_due(now_);
}

Drift::Report IptablesSync::take_drift() {
  Drift::Report report = drift_.take_report();
  if (!has_work() && !drift_.due()) drift_.all_clear();
  return report;
}

rules::Status IptablesSync::load(NfSession& session, SyncReport& report) {
  auto* frontends = loaded_ ? nullptr : &found_at_start_;
  auto loaded = live_.load(session.kernel(), frontends);
  if (!loaded && loaded.error().code == EINTR) loaded = live_.load_piecewise(session.kernel(), frontends);
  if (!loaded) return loaded;
  loaded_ = true;
  audit_ = false;
  report.audited = true;
  // Emptied once because a rule of others jumped there, and free to go since that rule went.
  std::erase_if(undeletable_, [&](const ChainId& chain) { return !live_.has(chain) || live_.was_unused(chain); });
  drifted_.insert(suspects_.begin(), suspects_.end());
  drifted_.insert(stale_.begin(), stale_.end());
  suspects_.clear();
  stale_.clear();
  suspect_bases_.clear();
  suspect_claims_ = suspect_host_ports_ = false;
  jumps_pending_ = true;
  compare_all_ = true;
  return {};
}

rules::Status IptablesSync::refresh(NfSession& session, SyncReport& report) {
  // A held chain is not healed, but the objects may want another content in it.
  if (desired_.has_changes() || !pending_.empty()) suspects_.merge(std::exchange(stale_, {}));
  if (audit_ || suspects_.size() > kMaxSuspects) return load(session, report);
  for (const ChainId& chain : std::exchange(suspects_, {})) {
    if (auto reloaded = live_.reload(session.kernel(), chain); !reloaded) return reloaded;
    if (chain == kHostPortEntries) suspect_claims_ = false;
    reread_.insert(chain);
    drifted_.insert(chain);
  }
  if (std::exchange(suspect_claims_, false)) {
    if (auto reloaded = live_.reload(session.kernel(), kHostPortEntries); !reloaded) return reloaded;
    reread_.insert(kHostPortEntries);
  }
  for (const auto& [table, chain] : std::exchange(suspect_bases_, {})) {
    if (auto reloaded = live_.reload_base(session.kernel(), table, chain); !reloaded) return reloaded;
    jumps_pending_ = true;
  }
  if (std::exchange(suspect_host_ports_, false)) return live_.reload_plain_host_ports(session.kernel());
  return {};
}

rules::Status IptablesSync::look_for_host_port_jumps(NfSession& session) {
  if (desired_.host_ports.empty()) return {};
  for (const auto& jump : rules::hostport::entry_jumps()) {
    const auto& there = live_.jumps(Table::kNat, jump.chain);
    if (std::ranges::find(there, rules::digest_of(jump.rule), &rules::LiveRuleRef::digest) != there.end()) continue;
    if (auto reloaded = live_.reload_base(session.kernel(), Table::kNat, jump.chain); !reloaded) return reloaded;
  }
  return {};
}

void IptablesSync::collect_differences() {
  const auto add = [&](const ChainId& chain) {
    if (!diff_->touched().contains(chain)) reread_.insert(chain);
  };
  desired_.for_each_wanted([&](const rules::iptables::WantedChain& wanted) {
    if (!wanted.digest || !live_.has(wanted.id) || live_.digest(wanted.id) != *wanted.digest) add(wanted.id);
  });
  live_.for_each([&](const ChainId& chain) {
    if (!desired_.wants(chain)) add(chain);
  });
}

bool IptablesSync::may_heal(const ObjectRef& object, bool is_drift) {
  if (!is_drift && drift_.held_until(object) <= now_) return true;
  return drift_.find(object, now_) || everything_;
}

void IptablesSync::compare() {
  desired_.take_changes(*diff_);
  desired_.replay(std::exchange(pending_, {}), *diff_);
  if (std::exchange(compare_all_, false)) collect_differences();
  diff_->set_gate([this](Table table, std::string_view chain) {
    return may_heal(rules::chain_ref(family_, name_of(table), chain),
                    drift_audit_ || drifted_.contains({table, ChainName(chain)}));
  });
  desired_.replay(std::exchange(reread_, {}), *diff_);
  if (jumps_pending_ || diff_->touches_host_ports()) {
    diff_->set_gate([this](Table table, std::string_view chain) {
      return may_heal(rules::chain_ref(family_, name_of(table), chain), written_);
    });
    diff_->jumps();
    diff_->set_gate([this](Table table, std::string_view chain) {
      return may_heal(rules::chain_ref(family_, name_of(table), chain), host_port_jumps_);
    });
    if (!desired_.host_ports.empty()) diff_->host_port_jumps();
  }
  diff_->set_gate({});
  for (auto needed = diff_->take_needed(); !needed.empty(); needed = diff_->take_needed())
    desired_.replay(needed, *diff_);
}

std::expected<void, netlink::CommitFailure> IptablesSync::prepare(NfSession& session, netlink::Batch& batch,
                                                                  const Stage& stage, SyncReport& report) {
  if (auto refreshed = refresh(session, report); !refreshed) return std::unexpected(failure_of(refreshed.error()));
  look_at_others();
  std::ranges::move(desired_.host_ports.take_remarks(), std::back_inserter(report.host_ports));
  if (auto known = look_for_host_port_jumps(session); !known) return std::unexpected(failure_of(known.error()));

  encoder_.emplace(family_, rule_form_, batch, stage);
  diff_.emplace(desired_.service_ports.options(), live_, undeletable_, *encoder_);
  compare();
  if (auto failure = encoder_->failure()) {
    put_back();
    return std::unexpected(std::move(*failure));
  }
  diff_->finish();
  encoder_->finish();
  remove_dead(batch);
  return {};
}

void IptablesSync::look_at_others() {
  rules::hostport::HostPorts& host_ports = desired_.host_ports;
  host_ports.set_foreign(takeover_.look(live_.foreign_host_ports().claims(), host_ports, now_));
}

void IptablesSync::remove_dead(netlink::Batch& batch) const {
  if (!takeover_.ripe().empty())
    remove_entries(batch, family_,
                   dead_entries(live_.foreign_host_ports(), takeover_.ripe(), desired_.host_ports.known_pods()),
                   takeover_.kept());
}

bool IptablesSync::is_outdated() const {
  return audit_ || suspect_claims_ || suspect_host_ports_ || !suspects_.empty() || !suspect_bases_.empty() ||
         std::ranges::any_of(stale_, [&](const ChainId& chain) { return diff_->touched().contains(chain); });
}

void IptablesSync::put_back() {
  pending_.insert(diff_->touched().begin(), diff_->touched().end());
  if (!diff_->touched_bases().empty()) jumps_pending_ = true;
  forget_plan();
}

void IptablesSync::forget_plan() {
  diff_.reset();
  encoder_.reset();
}

rules::Result<bool> IptablesSync::committed(NfSession& session, const netlink::CommitReport& commit,
                                            SyncReport& report) {
  report.chains += diff_->touched().size();
  for (const Table table : {Table::kFilter, Table::kNat})
    report.rules[static_cast<std::size_t>(table)] += diff_->rules_added(table);
  jumps_pending_ = false;
  if (!diff_->empty()) report_healed();
  drift_audit_ = false;
  drifted_.clear();
  refusals_.succeeded(report);
  // It is committed; what is not known now has to be looked at again.
  auto learned = learn(session, commit);
  if (!takeover_.ripe().empty()) {
    std::ranges::move(takeover_.removed(), std::back_inserter(report.removed));
    if (learned) learned = live_.reload(session.kernel(), kHostPortEntries);
    if (learned) learned = live_.reload_plain_host_ports(session.kernel());
  }
  forget_plan();
  if (!learned) {
    audit_ = true;
    return false;
  }
  return true;
}

rules::Status IptablesSync::learn(NfSession& session, const netlink::CommitReport& commit) {
  for (const ChainId& chain : live_.advance(diff_->after(), commit.handles))
    if (auto reloaded = live_.reload(session.kernel(), chain); !reloaded) return reloaded;
  for (const auto& [table, chain] : diff_->touched_bases())
    if (auto reloaded = live_.reload_base(session.kernel(), table, chain); !reloaded) return reloaded;
  return {};
}

void IptablesSync::report_healed() {
  for (const ChainId& chain : diff_->touched())
    if (drift_audit_ || drifted_.contains(chain))
      drift_.heal(rules::chain_ref(family_, name_of(chain.table), chain.name), now_);
  for (const auto& [table, chain] : diff_->touched_bases()) {
    const bool of_host_ports = table == Table::kNat && diff_->host_port_bases().contains(chain);
    if (of_host_ports ? host_port_jumps_ : written_)
      drift_.heal(rules::chain_ref(family_, name_of(table), chain), now_);
  }
  written_ = true;
  host_port_jumps_ = host_port_jumps_ || !desired_.host_ports.empty();
}

bool IptablesSync::take_out(const std::vector<rules::Refusal>& refusals, SyncReport& report) {
  bool any = false;
  for (const rules::Refusal& refusal : refusals) any = take_out(refusal, report) || any;
  return any;
}

bool IptablesSync::take_out(const rules::Refusal& refusal, SyncReport& report) {
  const auto table = netlink::table_of(refusal.object.table);
  const auto name = ChainName::from(refusal.object.name);
  if (refusal.code == EBUSY && table && name && !follows(*table, name->view()) && takeover_.keep({*table, *name})) {
    report.emptied.push_back(rules::chain_ref(family_, refusal.object.table, refusal.object.name));
    return true;
  }
  if (refusal.code == EBUSY && table && name && undeletable_.insert({*table, *name}).second) {
    report.emptied.push_back(rules::chain_ref(family_, refusal.object.table, refusal.object.name));
    return true;
  }
  return refusals_.take_out(refusal, now_, report);
}

}  // namespace kubenatd::agent::dataplane::iptables
