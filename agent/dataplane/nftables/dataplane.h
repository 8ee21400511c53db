#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/nftables/sync.h"
#include "agent/dataplane/nftables/wanted.h"

namespace kubenatd::agent::dataplane::nftables {

/// nftables mode in one family: a table of its own, in which Services and host ports are elements of sets and maps.
///
/// Threading, failure: as Dataplane. Cost: a change costs its own elements; an audit, a diff and a listing read or make
/// all of them.
class NftablesDataplane final : public Dataplane {
 public:
  NftablesDataplane(rules::Family family, const NodeFacts& facts);

  [[nodiscard]] rules::Family family() const override { return family_; }

  void set_node(const NodeFacts& facts) override;
  void apply(const state::ViewChange& change) override;
  void set_pods(std::vector<rules::hostport::PodPorts> pods) override;
  void set_known_pods(rules::hostport::KnownPods pods) override;
  [[nodiscard]] const rules::NodeOptions& node_options() const override { return wanted_.elements.options().node; }
  [[nodiscard]] const rules::hostport::HostPorts& host_ports() const override { return wanted_.host_ports; }
  void for_each_view(const std::function<void(const rules::ServicePortView&)>& visit) const override {
    wanted_.elements.for_each_view(visit);
  }
  [[nodiscard]] std::vector<rules::Clash> take_clashes() override { return wanted_.elements.take_clashes(); }
  [[nodiscard]] std::vector<RefusedObject> refused() const override;
  [[nodiscard]] std::vector<OwnedRules> owned_rules() const override { return {}; }

  bool note(const netlink::TableEvent& event, Time now) override { return sync_.note(event, now); }
  void require_audit(Audit why, Time now) override { sync_.require_audit(why, now); }
  [[nodiscard]] std::optional<Time> due() const override { return sync_.due(); }
  [[nodiscard]] bool settled() const override { return sync_.settled(); }
  [[nodiscard]] rules::Result<SyncReport> sync(NfSession& session, const NfSession::Visit& others,
                                               const SyncRequest& request) override {
    return sync_.run(session, others, request);
  }
  [[nodiscard]] TableOwnership table_ownership() const override { return sync_.ownership().state(); }
  [[nodiscard]] FastPathState fast_path() const override;
  [[nodiscard]] const std::vector<UdpFrontend>& found_at_start() const override { return sync_.found_at_start(); }

  [[nodiscard]] std::string render() const override;
  [[nodiscard]] rules::Result<Difference> diff(netlink::NfTables& kernel) const override;
  /// With a kernel, endpoints have the order that they have there.
  [[nodiscard]] rules::Result<rules::walk::Ruleset> desired_ruleset(netlink::NfTables* kernel) const override;

 private:
  /// The host ports that are in force beside what others serve now, and those that are withheld.
  struct Beside {
    rules::nftables::HostPortElements elements;
    std::vector<rules::hostport::Remark> withheld;
  };
  [[nodiscard]] rules::Result<Beside> beside_others(netlink::NfTables& kernel) const;

  rules::Family family_;
  Wanted wanted_;
  NftablesSync sync_;
};

}  // namespace kubenatd::agent::dataplane::nftables
