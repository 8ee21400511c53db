#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/dataplane/attempts.h"
#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/nftables/live.h"
#include "rules/hostport/host_ports.h"
#include "rules/nftables/desired.h"

namespace kubenatd::agent::dataplane::nftables {

/// Keeps the table `kubenatd` of one family equal to the desired ruleset and elements.
///
/// Purpose: writes what differs, all of it in one transaction. Threading: one thread. Failure: as Dataplane. Cost: the
/// elements that changed; drift in a set reads that set, an audit or any other drift reads the whole table.
class NftablesSync final : public Dataplane {
 public:
  /// `desired` and `host_ports`, from which it gets those in force, must outlive this.
  NftablesSync(rules::Family family, rules::nftables::DesiredElements& desired, rules::hostport::HostPorts& host_ports)
      : family_(family), desired_(desired), host_ports_(host_ports) {}

  [[nodiscard]] rules::Family family() const override { return family_; }
  bool note(const netlink::TableEvent& event) override;
  void require_audit(bool because_of_events) override {
    audit_ = true;
    drift_audit_ = drift_audit_ || because_of_events;
  }
  [[nodiscard]] bool has_work() const override {
    return audit_ || purge_ || !suspects_.empty() || must_see_others() || desired_.has_changes() ||
           host_ports_.has_changes();
  }
  [[nodiscard]] bool only_drift() const override {
    return (!audit_ || drift_audit_) && !purge_ && !desired_.has_changes() && !host_ports_.has_changes() && loaded_;
  }
  [[nodiscard]] rules::Result<SyncReport> sync(NfSession& session, const NfSession::Visit& others) override;
  [[nodiscard]] const std::vector<iptables::LiveTables::UdpFrontend>& found_at_start() const override {
    return found_at_start_;
  }

 private:
  /// What is to be written, and in which order.
  struct Plan {
    bool delete_table = false;  ///< what is there cannot be changed into what is wanted
    bool everything = false;    ///< the table is new: all elements are added
    std::vector<rules::nftables::SetSpec> new_sets;
    std::vector<std::string> old_sets;
    std::vector<rules::nftables::Chain> new_chains;
    std::vector<rules::nftables::Chain> rewritten;  ///< among them the new ones
    std::vector<std::string> old_chains;
    std::vector<rules::nftables::ElementKey> removed;
    std::vector<std::pair<rules::nftables::ElementKey, rules::nftables::ElementValue>> added;

    [[nodiscard]] bool empty() const {
      return !delete_table && !everything && new_sets.empty() && old_sets.empty() && rewritten.empty() &&
             old_chains.empty() && removed.empty() && added.empty();
    }
  };

  [[nodiscard]] rules::Result<Outcome> attempt(NfSession& session, const NfSession::Visit& others, bool guarded,
                                               SyncReport& report);
  /// Others may serve other host ports than they did, and there are some of ours.
  [[nodiscard]] bool must_see_others() const { return suspect_host_ports_ && host_ports_.any_wanted(); }
  /// Puts the host ports into the desired state that are in force beside those of others.
  [[nodiscard]] rules::Status update_host_ports(NfSession& session, SyncReport& report);
  [[nodiscard]] rules::Result<Plan> compare_everything(NfSession& session, const rules::nftables::Ruleset& wanted);
  [[nodiscard]] rules::Result<Plan> compare_changes(NfSession& session, const rules::nftables::Ruleset& wanted);
  /// What makes the elements of `sets` as they are wanted.
  void compare_elements(LiveElements live, const std::set<rules::nftables::SetRef>& sets, Plan& plan) const;
  /// Writes it all, in an order in which nothing is used before it is there or removed while it is used.
  void write(const Plan& plan, netlink::Batch& batch, SyncReport& report) const;
  [[nodiscard]] rules::Result<Outcome> after_failure(const netlink::CommitFailure& failure, SyncReport& report);
  /// Takes service ports and pods out whose elements the kernel refused, and names them. True when there were any.
  bool take_out(const netlink::CommitFailure& failure, SyncReport& report);
  void note_found(const LiveElements& live);
  [[nodiscard]] rules::Status purge_affinity(NfSession& session, SyncReport& report);

  rules::Family family_;
  rules::nftables::DesiredElements& desired_;
  rules::hostport::HostPorts& host_ports_;
  rules::nftables::Ruleset written_;  ///< what the kernel holds, as far as we know
  std::set<rules::nftables::SetRef> suspects_;
  std::set<std::string> found_;  ///< drift that is to be told with the next sync
  std::vector<iptables::LiveTables::UdpFrontend> found_at_start_;
  bool suspect_host_ports_ = true;
  bool audit_ = true;
  bool drift_audit_ = false;
  bool loaded_ = false;
  bool purge_ = false;
  bool failed_before_ = false;
};

}  // namespace kubenatd::agent::dataplane::nftables
