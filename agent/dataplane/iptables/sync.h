#pragma once

#include <array>
#include <set>
#include <string>
#include <vector>

#include "agent/dataplane/attempts.h"
#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/iptables/change_writer.h"
#include "agent/dataplane/iptables/live_tables.h"
#include "agent/dataplane/nf_session.h"
#include "rules/iptables/desired.h"

namespace kubenatd::agent::dataplane::iptables {

/// Keeps the live chains of one family equal to the desired ones.
///
/// Purpose: compares by content, writes what differs, in one transaction as far as a packet can see.
/// Threading: one thread.
/// Failure: a failed sync leaves the kernel as it was and everything pending for the next one. A service port whose
/// rules the kernel refuses is taken out and named, and the rest is applied. Cost: proportional to what changed; an
/// audit reads everything.
class FamilySync final : public Dataplane {
 public:
  /// `desired` must outlive this.
  FamilySync(rules::Family family, rules::iptables::DesiredTables& desired)
      : family_(family),
        desired_(desired),
        live_(family, [&desired](const rules::ChainId& chain) { return desired.wants(chain); }) {}

  [[nodiscard]] rules::Family family() const override { return family_; }
  [[nodiscard]] const LiveTables& live() const { return live_; }

  /// Takes a change by somebody else into account. True when it concerns something of ours.
  bool note(const netlink::TableEvent& event) override;
  /// Everything must be read again before the next comparison.
  void require_audit(bool because_of_events) override {
    audit_ = true;
    drift_audit_ = drift_audit_ || because_of_events;
  }
  [[nodiscard]] bool has_work() const override;
  /// True when nothing but drift has to be looked at: such work may be held back when somebody fights over a chain.
  [[nodiscard]] bool only_drift() const override;

  [[nodiscard]] rules::Result<SyncReport> sync(NfSession& session, const NfSession::Visit& others) override;

  /// UDP destinations that the kernel served when it was first read and that no rule of ours serves.
  [[nodiscard]] const std::vector<LiveTables::UdpFrontend>& found_at_start() const override { return found_at_start_; }

 private:
  [[nodiscard]] rules::Status refresh(NfSession& session, SyncReport& report);
  /// The portmap plugin writes the same jumps: one that is missing here may have been added by it, unnoticed.
  [[nodiscard]] rules::Status look_for_host_port_jumps(NfSession& session);
  /// Followed in general, or a container chain of ours.
  [[nodiscard]] bool follows(rules::Table table, std::string_view chain) const;
  /// Chains that differ and that `writer` does not change already.
  void collect_differences(const ChangeWriter& writer);
  /// With `insist`, also when others write at the same time.
  [[nodiscard]] rules::Result<Outcome> attempt(NfSession& session, const NfSession::Visit& others, bool insist,
                                               SyncReport& report);
  [[nodiscard]] rules::Status after_commit(NfSession& session, const ChangeWriter& writer,
                                           const std::vector<std::uint64_t>& handles);
  [[nodiscard]] rules::Result<Outcome> after_failure(const netlink::CommitFailure& failure, SyncReport& report);
  void report_healed(const ChangeWriter& writer, SyncReport& report);
  void keep_pending(const ChangeWriter& writer);

  rules::Family family_;
  rules::iptables::DesiredTables& desired_;
  LiveTables live_;
  std::set<rules::ChainId> suspects_;  ///< live content unknown
  std::set<std::pair<rules::Table, std::string>> suspect_bases_;
  bool suspect_host_ports_ = false;       ///< the portmap plugin's own table
  std::set<rules::ChainId> drifted_;      ///< read again because of an event; healed when written
  std::set<std::string> found_;           ///< drift that is to be told with the next sync
  std::set<rules::ChainId> pending_;      ///< to be compared again
  std::set<rules::ChainId> undeletable_;  ///< others jump to them
  std::vector<LiveTables::UdpFrontend> found_at_start_;
  bool audit_ = true;
  bool compare_ = false;      ///< everything was read again and must be compared
  bool drift_audit_ = false;  ///< the audit is due to events, not to our own doubts
  bool loaded_ = false;
  bool written_ = false;          ///< once: jumps that are missing later were taken away
  bool host_port_jumps_ = false;  ///< the same for those of host ports
  bool jumps_pending_ = true;
  bool failed_before_ = false;  ///< the last commit was refused although everything had just been read
};

}  // namespace kubenatd::agent::dataplane::iptables
