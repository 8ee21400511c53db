#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/dataplane/commit_loop.h"
#include "agent/dataplane/drift.h"
#include "agent/dataplane/foreign_host_ports.h"
#include "agent/dataplane/nftables/cover.h"
#include "agent/dataplane/nftables/flowtable_devices.h"
#include "agent/dataplane/nftables/ownership.h"
#include "agent/dataplane/nftables/plan_writer.h"
#include "agent/dataplane/nftables/wanted.h"
#include "agent/dataplane/takeover.h"
#include "rules/nftables/diff.h"

namespace kubenatd::agent::dataplane::nftables {

using RulesetPtr = std::shared_ptr<const rules::nftables::Ruleset>;

/// What has to be read before the next comparison.
struct Suspects {
  bool audit = true;       ///< everything
  bool structure = false;  ///< sets, chains and rules
  std::set<rules::nftables::SetRef> sets;
};
/// What was prepared, until it is committed or put back.
struct Round {
  Suspects looked_at;
  RulesetPtr ruleset;
  bool table_drifted = false;
  rules::nftables::Names drifted;  ///< and written
  std::size_t chains = 0;
  std::size_t rules = 0;
  std::size_t elements = 0;
};

/// Keeps the table `kubenatd` of one family equal to what is wanted.
///
/// Purpose: the steps of a sync in nftables mode, and what of the kernel has to be looked at. All that differs is
/// written in one transaction. What others keep changing waits, set by set and chain by chain: its own changes are
/// still written, and so is everything else. Threading: one thread. Failure: as SyncSteps. Cost: the elements that
/// changed; drift reads sets, chains and rules of the table, and the elements of the sets concerned; an audit reads
/// all.
class NftablesSync final : public SyncSteps {
 public:
  /// `wanted` must outlive this.
  NftablesSync(rules::Family family, Wanted& wanted, config::Settings::OwnTable own_table)
      : family_(family), wanted_(wanted), ownership_(family, own_table), cover_(family), devices_(family) {}

  bool note(const netlink::TableEvent& event, Time now);
  void require_audit(Dataplane::Audit why, Time now);
  [[nodiscard]] std::optional<Time> due() const;
  [[nodiscard]] bool settled() const {
    return written_ && !wanted_.elements.has_changes() && !wanted_.host_ports.has_changes() && !ownership_.is_foreign();
  }
  [[nodiscard]] const std::vector<UdpFrontend>& found_at_start() const { return found_at_start_; }
  [[nodiscard]] const Ownership& ownership() const { return ownership_; }
  /// Those of the flowtable, if there is to be one.
  [[nodiscard]] FlowtableDevices& devices() { return devices_; }
  [[nodiscard]] const FlowtableDevices& devices() const { return devices_; }
  /// Whether the kernel has the flowtable.
  [[nodiscard]] bool has_flowtable() const { return written_ && !written_->flowtables.empty(); }
  /// What host ports of others are judged by has changed.
  void look_at_others_again() { takeover_.look_again(); }

  [[nodiscard]] rules::Result<SyncReport> run(NfSession& session, const NfSession::Visit& others,
                                              const SyncRequest& request);

  [[nodiscard]] std::string name() const override;
  [[nodiscard]] std::expected<void, netlink::CommitFailure> prepare(NfSession& session, netlink::Batch& batch,
                                                                    const Stage& stage, SyncReport& report) override;
  [[nodiscard]] std::size_t notifications(const netlink::Batch& batch) const override;
  [[nodiscard]] bool is_outdated() const override { return outdated_ || suspects_anything(); }
  void put_back() override;
  [[nodiscard]] rules::Result<bool> committed(NfSession& session, const netlink::CommitReport& commit,
                                              SyncReport& report) override;
  void read_again() override { suspects_.audit = true; }
  void events_lost() override { require_audit(Dataplane::Audit::kEventsLost, request_.now); }
  [[nodiscard]] bool take_out(const std::vector<rules::Refusal>& refusals, SyncReport& report) override;
  [[nodiscard]] bool is_trial(const rules::Refusal& refusal) const override;

 private:
  /// Whose element the kernel refused: a service port or a pod.
  struct Owner {
    std::optional<rules::ServicePortKey> port;
    std::optional<std::string> pod;
  };

  /// Others may serve other host ports than they did, and there are some of ours.
  [[nodiscard]] bool must_see_others() const { return suspect_host_ports_ && wanted_.host_ports.any_wanted(); }
  [[nodiscard]] bool suspects_anything() const {
    return suspects_.audit || suspects_.structure || !suspects_.sets.empty() || must_see_others();
  }
  [[nodiscard]] rules::ObjectRef set_object(std::string_view name) const;
  [[nodiscard]] rules::ObjectRef chain_object(std::string_view name) const;
  [[nodiscard]] rules::ObjectRef flowtable_object(std::string_view name) const;
  [[nodiscard]] rules::ObjectRef table_object() const;

  void take_due();
  [[nodiscard]] rules::Status sync_devices(NfSession& session);
  /// Dead entries of others for host ports are removed with the same transaction.
  void remove_dead(netlink::Batch& batch) const;
  [[nodiscard]] rules::Status update_host_ports(NfSession& session, SyncReport& report);
  [[nodiscard]] rules::Result<rules::nftables::Plan> plan_round(NfSession& session, Round& round);
  [[nodiscard]] rules::Result<rules::nftables::LiveTable> read_live(NfSession& session, const Suspects& suspects,
                                                                    const rules::nftables::Ruleset& ruleset);
  /// Tells what others changed, and takes out of the plan what has to wait.
  void hold_back(rules::nftables::Plan& plan);
  /// Own changes of sets in dispute: they are read, as others may have done the same or the opposite.
  void add_disputed_sets(Suspects& suspects);
  [[nodiscard]] Owner owner_of(const rules::Refusal& refusal) const;
  [[nodiscard]] bool take_out(const rules::Refusal& refusal, const Owner& owner, SyncReport& report);

  rules::Family family_;
  Wanted& wanted_;
  Drift drift_;
  Suspects suspects_;
  Ownership ownership_;
  Cover cover_;
  FlowtableDevices devices_;
  bool suspect_host_ports_ = true;
  AllForeignHostPorts others_;  ///< as they were read last
  Takeover takeover_;
  RulesetPtr written_;  ///< what the kernel holds, as far as we know; none: nothing was written yet
  std::optional<Round> round_;
  std::set<std::string, std::less<>> disputed_;  ///< sets read in this round though they are held
  bool outdated_ = false;                        ///< one of them has changed since
  std::vector<UdpFrontend> found_at_start_;
  SyncRequest request_;
  std::optional<rules::Refusal> not_taken_out_;                         ///< since the sync began
  BatchPlanWriter::Packing packing_ = BatchPlanWriter::Packing::kFull;  ///< in this sync
};

}  // namespace kubenatd::agent::dataplane::nftables
