#include "agent/dataplane/iptables/dataplane.h"

#include <utility>

#include "agent/dataplane/foreign_host_ports.h"
#include "agent/dataplane/iptables/diff.h"
#include "agent/dataplane/iptables/listing.h"
#include "agent/dataplane/iptables/options.h"
#include "agent/dataplane/iptables/wanted_chains.h"
#include "rules/text.h"

namespace kubenatd::agent::dataplane::iptables {

using rules::Table;
using rules::hostport::HostPorts;
using rules::iptables::DesiredTables;

IptablesDataplane::IptablesDataplane(rules::Family family, const NodeFacts& facts)
    : family_(family), desired_{DesiredTables(compile_options(facts, family)), {}}, sync_(family, desired_) {
  sync_.set_rule_form(rule_form(facts));
}

void IptablesDataplane::set_node(const NodeFacts& facts) {
  desired_.service_ports.set_options(compile_options(facts, family_));
  sync_.set_rule_form(rule_form(facts));
}

void IptablesDataplane::apply(const state::ViewChange& change) {
  const rules::ServicePortKey key{change.name, change.protocol};
  sync_.refusals().forget(key);
  if (change.view) {
    desired_.service_ports.upsert(*change.view);
  } else {
    desired_.service_ports.erase(key);
  }
}

void IptablesDataplane::set_pods(std::vector<rules::hostport::PodPorts> pods) {
  // The Pods' own way to the port on localhost is not to lead to what listens there for the node alone (CVE-2020-8558).
  if (!pods.empty()) desired_.service_ports.guard_localhost();
  sync_.refusals().set_pods(std::move(pods));
}

void IptablesDataplane::set_known_pods(rules::hostport::KnownPods pods) {
  desired_.host_ports.set_known_pods(std::move(pods));
  sync_.look_at_others_again();
}

const rules::NodeOptions& IptablesDataplane::node_options() const {
  return desired_.service_ports.options().node;
}

void IptablesDataplane::for_each_view(const std::function<void(const rules::ServicePortView&)>& visit) const {
  desired_.service_ports.for_each_view(visit);
}

std::vector<OwnedRules> IptablesDataplane::owned_rules() const {
  std::vector<OwnedRules> owned;
  for (const Table table : {Table::kFilter, Table::kNat})
    owned.push_back({.table = table, .count = desired_.service_ports.rules(table)});
  return owned;
}

rules::Result<SyncReport> IptablesDataplane::sync(NfSession& session, const NfSession::Visit& others,
                                                  const SyncRequest& request) {
  sync_.begin(request);
  auto done = loop_.run(sync_, session, others);
  if (done) done->drift = sync_.take_drift();
  return done;
}

std::string IptablesDataplane::render() const {
  return rules::to_save_text(list_desired(desired_.service_ports, desired_.host_ports), family_);
}

rules::Result<Dataplane::Difference> IptablesDataplane::diff(netlink::NfTables& kernel) const {
  HostPorts host_ports = desired_.host_ports;
  (void)host_ports.take_remarks();  // of earlier times
  auto objects = diff_with_live(kernel, family_, desired_.service_ports, host_ports);
  if (!objects) return std::unexpected(objects.error());
  return Difference{std::move(*objects), host_ports.take_remarks()};
}

rules::Result<rules::walk::Ruleset> IptablesDataplane::desired_ruleset(netlink::NfTables* kernel) const {
  HostPorts host_ports = desired_.host_ports;
  if (kernel != nullptr) {
    const auto others = read_foreign_host_ports(*kernel, family_);
    if (!others) return std::unexpected(others.error());
    host_ports.set_foreign(others->claims());
  }
  return wanted_ruleset(family_, desired_.service_ports, std::move(host_ports));
}

}  // namespace kubenatd::agent::dataplane::iptables
