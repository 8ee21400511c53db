#pragma once

#include <string>
#include <vector>

#include "agent/dataplane/commit_loop.h"
#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/iptables/sync.h"
#include "rules/iptables/desired_chains.h"

namespace kubenatd::agent::dataplane::iptables {

/// iptables mode in one family: kube-proxy's chains in the tables filter and nat, and portmap's for host ports.
///
/// Threading, failure and cost: as Dataplane.
class IptablesDataplane final : public Dataplane {
 public:
  IptablesDataplane(rules::Family family, const NodeFacts& facts);
  // The sync holds references into this.
  IptablesDataplane(const IptablesDataplane&) = delete;
  IptablesDataplane& operator=(const IptablesDataplane&) = delete;

  [[nodiscard]] rules::Family family() const override { return family_; }

  void set_node(const NodeFacts& facts) override;
  void apply(const state::ViewChange& change) override;
  void set_pods(std::vector<rules::hostport::PodPorts> pods) override;
  void set_known_pods(rules::hostport::KnownPods pods) override;
  [[nodiscard]] const rules::NodeOptions& node_options() const override;
  [[nodiscard]] const rules::hostport::HostPorts& host_ports() const override { return desired_.host_ports; }
  void for_each_view(const std::function<void(const rules::ServicePortView&)>& visit) const override;
  [[nodiscard]] std::vector<rules::Clash> take_clashes() override { return desired_.service_ports.take_clashes(); }
  [[nodiscard]] std::vector<RefusedObject> refused() const override { return sync_.refusals().all(); }
  [[nodiscard]] std::vector<OwnedRules> owned_rules() const override;

  bool note(const netlink::TableEvent& event, Time now) override { return sync_.note(event, now); }
  void require_audit(Audit why, Time now) override { sync_.require_audit(why, now); }
  [[nodiscard]] std::optional<Time> due() const override { return sync_.due(); }
  [[nodiscard]] bool settled() const override { return sync_.settled(); }
  [[nodiscard]] rules::Result<SyncReport> sync(NfSession& session, const NfSession::Visit& others,
                                               const SyncRequest& request) override;
  [[nodiscard]] const std::vector<UdpFrontend>& found_at_start() const override { return sync_.found_at_start(); }

  [[nodiscard]] std::string render() const override;
  [[nodiscard]] rules::Result<Difference> diff(netlink::NfTables& kernel) const override;
  [[nodiscard]] rules::Result<rules::walk::Ruleset> desired_ruleset(netlink::NfTables* kernel) const override;

 private:
  rules::Family family_;
  rules::iptables::DesiredChains desired_;
  IptablesSync sync_;
  CommitLoop loop_;
};

}  // namespace kubenatd::agent::dataplane::iptables
