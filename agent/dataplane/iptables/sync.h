#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/dataplane/commit_loop.h"
#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/drift.h"
#include "agent/dataplane/iptables/live_tables.h"
#include "agent/dataplane/iptables/plan_encoder.h"
#include "agent/dataplane/iptables/refusals.h"
#include "agent/dataplane/nf_session.h"
#include "agent/dataplane/takeover.h"
#include "rules/iptables/desired_chains.h"
#include "rules/iptables/diff.h"

namespace kubenatd::agent::dataplane::iptables {

/// Keeps the live chains of one family equal to the desired ones.
///
/// Purpose: compares by content, writes what differs, in one transaction as far as a packet can see. Changes by others
/// are healed at once, but for the chains that somebody fights over: those wait (Drift), and nothing else waits for
/// them. Threading: one thread. Failure: as SyncSteps. Cost: proportional to what changed; an audit reads everything.
class IptablesSync final : public SyncSteps {
 public:
  /// `desired` must outlive this.
  IptablesSync(rules::Family family, rules::iptables::DesiredChains& desired)
      : family_(family),
        desired_(desired),
        live_(family, [&desired](const rules::ChainId& chain) { return desired.wants(chain); }),
        refusals_(family, desired) {}

  /// Of rules that are written from now on. What is there already is right in either form.
  void set_rule_form(netlink::iptables::RuleForm form) { rule_form_ = form; }

  // As in Dataplane.
  bool note(const netlink::TableEvent& event, Time now);
  void require_audit(Dataplane::Audit why, Time now);
  [[nodiscard]] std::optional<Time> due() const;
  [[nodiscard]] bool settled() const;
  [[nodiscard]] const std::vector<UdpFrontend>& found_at_start() const { return found_at_start_; }
  [[nodiscard]] Refusals& refusals() { return refusals_; }
  [[nodiscard]] const Refusals& refusals() const { return refusals_; }

  /// What host ports of others are judged by has changed.
  void look_at_others_again() { takeover_.look_again(); }

  /// Before the steps of a sync.
  void begin(const SyncRequest& request);
  /// After them: what happened since the last call.
  [[nodiscard]] Drift::Report take_drift();

  [[nodiscard]] std::string name() const override;
  [[nodiscard]] std::expected<void, netlink::CommitFailure> prepare(NfSession& session, netlink::Batch& batch,
                                                                    const Stage& stage, SyncReport& report) override;
  [[nodiscard]] std::size_t notifications(const netlink::Batch& batch) const override { return batch.messages(); }
  [[nodiscard]] bool is_outdated() const override;
  void put_back() override;
  [[nodiscard]] rules::Result<bool> committed(NfSession& session, const netlink::CommitReport& commit,
                                              SyncReport& report) override;
  void read_again() override { audit_ = true; }
  void events_lost() override { require_audit(Dataplane::Audit::kEventsLost, now_); }
  [[nodiscard]] bool take_out(const std::vector<rules::Refusal>& refusals, SyncReport& report) override;
  [[nodiscard]] bool is_trial(const rules::Refusal& refusal) const override { return refusals_.is_trial(refusal); }

 private:
  [[nodiscard]] bool has_work() const;
  /// Followed in general, or a container chain of ours.
  [[nodiscard]] bool follows(rules::Table table, std::string_view chain) const;
  [[nodiscard]] bool note_base(const netlink::TableEvent& event, rules::Table table, Time now);
  /// A chain that was held is to be read now.
  void look_again(const rules::ObjectRef& object);
  [[nodiscard]] rules::Status refresh(NfSession& session, SyncReport& report);
  [[nodiscard]] rules::Status load(NfSession& session, SyncReport& report);
  /// The portmap plugin writes the same jumps: one that is missing here may have been added by it, unnoticed.
  [[nodiscard]] rules::Status look_for_host_port_jumps(NfSession& session);
  /// Hands out all that may have to be written.
  void compare();
  /// Chains that differ and that are not to be changed already.
  void collect_differences();
  /// A chain differs. False: it is held.
  [[nodiscard]] bool may_heal(const rules::ObjectRef& object, bool is_drift);
  [[nodiscard]] rules::Status learn(NfSession& session, const netlink::CommitReport& commit);
  void report_healed();
  /// Takes the host ports of others into account.
  void look_at_others();
  /// The dead entries among those are removed with the same transaction.
  void remove_dead(netlink::Batch& batch) const;
  void forget_plan();
  [[nodiscard]] bool take_out(const rules::Refusal& refusal, SyncReport& report);

  rules::Family family_;
  rules::iptables::DesiredChains& desired_;
  netlink::iptables::RuleForm rule_form_ = netlink::iptables::RuleForm::kPortable;
  LiveTables live_;
  Refusals refusals_;
  Drift drift_;
  Takeover takeover_;
  Time now_{};  ///< of the sync
  bool everything_ = false;

  std::set<rules::ChainId> suspects_;  ///< live content unknown
  std::set<rules::ChainId> stale_;     ///< the same, and held: to be read when it is due, or before anything is written
  std::set<std::pair<rules::Table, std::string>> suspect_bases_;
  bool suspect_claims_ = false;           ///< another writer's host ports in nat
  bool suspect_host_ports_ = false;       ///< the portmap plugin's own table
  std::set<rules::ChainId> reread_;       ///< to be compared
  std::set<rules::ChainId> drifted_;      ///< read again because of an event; healed when written
  std::set<rules::ChainId> pending_;      ///< were to be written: to be compared again, and never held
  std::set<rules::ChainId> undeletable_;  ///< others jump to them
  std::vector<UdpFrontend> found_at_start_;
  bool audit_ = true;
  bool compare_all_ = false;  ///< everything was read again and must be compared
  bool drift_audit_ = false;  ///< the audit is due to events, not to our own doubts
  bool loaded_ = false;
  bool written_ = false;          ///< once: jumps that are missing later were taken away
  bool host_port_jumps_ = false;  ///< the same for those of host ports
  bool jumps_pending_ = true;

  // Of the transaction that is being made.
  std::optional<PlanEncoder> encoder_;
  std::optional<rules::iptables::Diff> diff_;
};

}  // namespace kubenatd::agent::dataplane::iptables
