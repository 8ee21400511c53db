#include "agent/dataplane/iptables/sync.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "netlink/core/names.h"
#include "netlink/iptables/rule_decoder.h"
#include "rules/hostport/compiler.h"
#include "rules/hostport/names.h"

namespace kubenatd::agent::dataplane::iptables {
namespace {

using netlink::TableEvent;
using rules::ChainId;
using rules::ChainName;
using rules::Table;

/// Past this many changed chains one dump of everything is cheaper than one of each.
constexpr std::size_t kMaxSuspects = 256;
/// Past this many messages the kernel's notifications about them are not listened to.
constexpr std::size_t kQuietMessages = 1000;
constexpr std::size_t kMaxAttempts = 16;
/// From this attempt on the generation is not asked for any more: somebody writes all the time, and every message
/// names its chain and neighbour, so that it fails rather than hit something else.
constexpr std::size_t kUnguardedAttempt = 8;

std::string describe(const ChainId& chain) {
  return fmt::format("{} {}", name_of(chain.table), chain.name.view());
}

}  // namespace

bool FamilySync::follows(Table table, std::string_view chain) const {
  if (is_followed(table, chain)) return true;
  if (!rules::hostport::is_container_chain(table, chain)) return false;
  const ChainId id{table, ChainName(chain)};
  return live_.has(id) || desired_.wants(id);
}

bool FamilySync::note(const TableEvent& event) {
  if (event.family != family_) return false;
  if (!event.table) {
    const bool concerns = event.table_name == kPortmapTable;
    suspect_host_ports_ = suspect_host_ports_ || concerns;
    return concerns;
  }
  const Table table = *event.table;
  if (table == Table::kMangle) return false;
  switch (event.kind) {
    case TableEvent::Kind::kTableDeleted: require_audit(true); return true;
    case TableEvent::Kind::kChainAdded:
    case TableEvent::Kind::kChainDeleted:
    case TableEvent::Kind::kRuleAdded:
    case TableEvent::Kind::kRuleDeleted: break;
    default: return false;
  }
  if (rules::hostport::is_container_chain(table, event.chain) && !follows(table, event.chain)) {
    // Another writer's: it may serve other ports now.
    suspects_.insert({table, ChainName(rules::hostport::kDnatChain)});
    return true;
  }
  if (follows(table, event.chain)) {
    const ChainId chain{table, ChainName(event.chain)};
    if (suspects_.insert(chain).second) found_.insert(describe(chain));
    return true;
  }
  // Builtin chains are busy with other people's rules: only the loss of one of ours matters, and that a chain is there
  // which we were about to make.
  if (!live_.has_base(table, event.chain)) {
    const auto wanted = [&](const auto& jump) { return jump.table == table && jump.chain == event.chain; };
    if (event.kind != TableEvent::Kind::kChainAdded || std::ranges::none_of(rules::iptables::builtin_jumps(), wanted))
      return false;
    suspect_bases_.insert({table, std::string(event.chain)});
    return true;
  }
  const auto& jumps = live_.jumps(table, event.chain);
  const bool ours = event.kind == TableEvent::Kind::kChainDeleted ||
                    (event.kind == TableEvent::Kind::kRuleDeleted &&
                     std::ranges::find(jumps, event.handle, &rules::LiveRuleRef::handle) != jumps.end());
  if (ours && suspect_bases_.insert({table, std::string(event.chain)}).second)
    found_.insert(fmt::format("{} {}", name_of(table), event.chain));
  return ours;
}

bool FamilySync::only_drift() const {
  return (!audit_ || drift_audit_) && pending_.empty() && !desired_.has_changes() && loaded_;
}

bool FamilySync::has_work() const {
  return audit_ || jumps_pending_ || suspect_host_ports_ || !suspects_.empty() || !suspect_bases_.empty() ||
         !pending_.empty() || desired_.has_changes();
}

rules::Status FamilySync::refresh(NfSession& session, SyncReport& report) {
  if (audit_ || suspects_.size() > kMaxSuspects) {
    const bool first = !loaded_;
    auto* frontends = first ? &found_at_start_ : nullptr;
    auto loaded = live_.load(session.kernel(), frontends);
    if (!loaded && loaded.error().code == EINTR) loaded = live_.load_piecewise(session.kernel(), frontends);
    if (!loaded) return loaded;
    loaded_ = true;
    audit_ = false;
    report.audited = true;
    // Emptied once because a rule of others jumped there, and free to go since that rule went.
    std::erase_if(undeletable_, [&](const ChainId& chain) { return !live_.has(chain) || live_.was_unused(chain); });
    drifted_.insert(suspects_.begin(), suspects_.end());
    suspects_.clear();
    suspect_bases_.clear();
    suspect_host_ports_ = false;
    jumps_pending_ = true;
    compare_ = true;
    return {};
  }
  for (const ChainId& chain : std::exchange(suspects_, {})) {
    if (auto reloaded = live_.reload(session.kernel(), chain); !reloaded) {
      audit_ = true;
      return reloaded;
    }
    pending_.insert(chain);
    drifted_.insert(chain);
  }
  for (const auto& [table, chain] : std::exchange(suspect_bases_, {})) {
    if (auto reloaded = live_.reload_base(session.kernel(), table, chain); !reloaded) {
      audit_ = true;
      return reloaded;
    }
    jumps_pending_ = true;
  }
  if (std::exchange(suspect_host_ports_, false)) {
    if (auto reloaded = live_.reload_plain_host_ports(session.kernel()); !reloaded) {
      audit_ = true;
      return reloaded;
    }
  }
  return {};
}

rules::Status FamilySync::look_for_host_port_jumps(NfSession& session) {
  if (desired_.host_ports().empty()) return {};
  for (const auto& jump : rules::hostport::entry_jumps()) {
    const auto& there = live_.jumps(Table::kNat, jump.chain);
    if (std::ranges::find(there, rules::digest_of(jump.rule), &rules::LiveRuleRef::digest) != there.end()) continue;
    if (auto reloaded = live_.reload_base(session.kernel(), Table::kNat, jump.chain); !reloaded) return reloaded;
  }
  return {};
}

void FamilySync::collect_differences(const ChangeWriter& writer) {
  const auto add = [&](const ChainId& chain) {
    if (!writer.touched().contains(chain)) pending_.insert(chain);
  };
  desired_.for_each_wanted([&](const rules::iptables::DesiredTables::WantedChain& wanted) {
    if (!wanted.digest || !live_.has(wanted.id) || live_.digest(wanted.id) != *wanted.digest) add(wanted.id);
  });
  live_.for_each([&](const ChainId& chain) {
    if (!desired_.wants(chain)) add(chain);
  });
}

rules::Result<SyncReport> FamilySync::sync(NfSession& session, const NfSession::Visit& others) {
  auto done = attempt_until_done({.session = session, .audit = audit_, .found = found_, .most = kMaxAttempts},
                                 [&](std::size_t before, SyncReport& report) {
                                   return attempt(session, others, before >= kUnguardedAttempt, report);
                                 });
  if (!done) return std::unexpected(done.error());
  if (*done) return std::move(**done);
  return rules::fail(fmt::format("{} tables", name_of(family_)), "synchronise",
                     fmt::format("other programs kept changing the tables during {} attempts", kMaxAttempts), EAGAIN);
}

rules::Result<Outcome> FamilySync::attempt(NfSession& session, const NfSession::Visit& others, bool insist,
                                           SyncReport& report) {
  if (auto refreshed = refresh(session, report); !refreshed) return std::unexpected(refreshed.error());
  desired_.host_ports().set_foreign(live_.foreign_host_ports());
  for (std::string& remark : desired_.host_ports().take_remarks()) report.remarks.push_back(std::move(remark));

  if (auto known = look_for_host_port_jumps(session); !known) return std::unexpected(known.error());

  ChangeWriter writer(family_, desired_, live_, undeletable_);
  std::optional<netlink::CommitFailure> stage_failure;
  writer.stage_with([&](netlink::Batch& batch) {
    if (stage_failure) return;
    if (auto muted = session.mute(); !muted) {
      stage_failure = netlink::CommitFailure{.error = muted.error(), .generation_changed = false, .refusals = {}};
      return;
    }
    ++report.transactions;
    report.messages += batch.messages();
    report.bytes += batch.bytes();
    auto committed = session.commit(batch, false);
    if (!committed) stage_failure = committed.error();
  });
  desired_.take_changes(writer);
  if (std::exchange(compare_, false)) collect_differences(writer);
  desired_.replay(std::exchange(pending_, {}), writer);
  if (jumps_pending_ || writer.touches_host_ports()) writer.jumps();
  if (stage_failure) {
    keep_pending(writer);
    audit_ = true;
    return after_failure(*stage_failure, report);
  }
  if (writer.empty()) {
    jumps_pending_ = false;
    drift_audit_ = false;
    drifted_.clear();
    return Outcome::kDone;
  }

  netlink::Batch& batch = writer.finish();
  for (std::size_t tries = 0;; ++tries) {
    auto drained = session.drain(others);
    if (!drained || drained->overrun) {
      require_audit(true);
      keep_pending(writer);
      if (!drained) return std::unexpected(drained.error());
      return Outcome::kAgain;
    }
    const bool guarded = !insist && tries < kUnguardedAttempt;
    const bool moved = audit_ || suspect_host_ports_ || !suspects_.empty() || !suspect_bases_.empty();
    if (moved && guarded) {
      keep_pending(writer);
      return Outcome::kAgain;
    }
    // Right after listening: with a writer that never stops, the moment in which nobody listens has to be short.
    if (batch.messages() > kQuietMessages && !session.muted()) {
      if (auto muted = session.mute(); !muted) {
        audit_ = true;
        keep_pending(writer);
        return std::unexpected(muted.error());
      }
    }
    auto committed = session.commit(batch, guarded);
    if (committed) {
      ++report.transactions;
      report.messages += batch.messages();
      report.bytes += batch.bytes();
      report.chains += writer.touched().size();
      for (const Table table : {Table::kFilter, Table::kNat})
        report.rules[static_cast<std::size_t>(table)] += writer.rules_added(table);
      report.wrote = true;
      failed_before_ = false;
      jumps_pending_ = false;
      report_healed(writer, report);
      // It is committed; what is not known now has to be looked at again.
      return after_commit(session, writer, committed->handles) ? Outcome::kDone : Outcome::kAgain;
    }
    if (committed.error().generation_changed) {
      ++report.retries;
      if (!session.muted()) continue;
      keep_pending(writer);
      return Outcome::kAgain;
    }
    keep_pending(writer);
    return after_failure(committed.error(), report);
  }
}

rules::Status FamilySync::after_commit(NfSession& session, const ChangeWriter& writer,
                                       const std::vector<std::uint64_t>& handles) {
  for (const ChainId& chain : writer.apply_to(live_, handles)) {
    if (auto reloaded = live_.reload(session.kernel(), chain); !reloaded) {
      audit_ = true;
      return reloaded;
    }
  }
  for (const auto& [table, chain] : writer.touched_bases()) {
    if (auto reloaded = live_.reload_base(session.kernel(), table, chain); !reloaded) {
      audit_ = true;
      return reloaded;
    }
  }
  return {};
}

void FamilySync::report_healed(const ChangeWriter& writer, SyncReport& report) {
  for (const ChainId& chain : writer.touched())
    if (drift_audit_ || drifted_.contains(chain)) report.healed.push_back(describe(chain));
  if (written_) {
    for (const auto& [table, chain] : writer.touched_bases()) {
      const bool first = !host_port_jumps_ && table == Table::kNat && writer.host_port_bases().contains(chain);
      if (!first) report.healed.push_back(fmt::format("{} {}", name_of(table), chain));
    }
  }
  written_ = true;
  host_port_jumps_ = host_port_jumps_ || !desired_.host_ports().empty();
  drift_audit_ = false;
  drifted_.clear();
}

void FamilySync::keep_pending(const ChangeWriter& writer) {
  pending_.insert(writer.touched().begin(), writer.touched().end());
  if (!writer.touched_bases().empty()) jumps_pending_ = true;
}

rules::Result<Outcome> FamilySync::after_failure(const netlink::CommitFailure& failure, SyncReport& report) {
  audit_ = true;
  if (failure.refusals.empty()) return std::unexpected(failure.error);
  // Somebody made what we were about to make, or removed what we were about to remove. Nobody's rules are at fault.
  const auto is_overtaken = [](const rules::Refusal& refusal) {
    return refusal.code == EEXIST || (refusal.code == ENOENT && rules::is_delete(refusal.operation));
  };
  if (std::ranges::any_of(failure.refusals, is_overtaken)) return Outcome::kAgain;
  if (!std::exchange(failed_before_, true)) return Outcome::kAgain;  // our picture may have been old: look again first

  bool some_taken_out = false;
  for (const rules::Refusal& message : failure.refusals) {
    const auto name = ChainName::from(message.object.name);
    const auto table = netlink::table_of(message.object.table);
    if (!name || !table) continue;
    const ChainId chain{*table, *name};
    rules::Rule rule;
    netlink::iptables::RuleCounters counters;
    if (message.operation == rules::Operation::kAddRule)
      netlink::iptables::decode_rule(message.attributes, family_, rule, counters);
    if (message.code == EBUSY && undeletable_.insert(chain).second) {
      report.problems.push_back(
          fmt::format("{}: left empty, as a rule of another program jumps to it", describe(chain)));
      some_taken_out = true;
      continue;
    }
    if (const auto pod = desired_.host_ports().owner_of(chain.name, rule); pod && chain.table == Table::kNat) {
      desired_.host_ports().refuse(*pod);
      report.problems.push_back(
          fmt::format("host ports of Pod {}: refused by the kernel: {}", *pod, rules::to_error(message).to_string()));
      some_taken_out = true;
      continue;
    }
    auto owner = desired_.owner_of(chain);
    if (!owner) owner = desired_.owner_of(rule);
    if (!owner) continue;
    const std::string what =
        fmt::format("{}: refused by the kernel: {}", owner->first, rules::to_error(message).to_string());
    desired_.refuse(*owner);
    if (std::ranges::find(report.problems, what) == report.problems.end()) report.problems.push_back(what);
    some_taken_out = true;
  }
  if (!some_taken_out) return std::unexpected(failure.error);
  failed_before_ = false;
  return Outcome::kAgain;
}

}  // namespace kubenatd::agent::dataplane::iptables
