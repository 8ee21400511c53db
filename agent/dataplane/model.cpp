#include "agent/dataplane/model.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "agent/dataplane/guarded_node.h"

namespace kubenatd::agent::dataplane {

using objects::Kind;
using rules::Family;

Model::Model(config::Config config, config::Environment environment)
    : config_(std::move(config)),
      environment_(std::move(environment)),
      state_(environment_.node_name),
      host_ports_(environment_.node_name) {
  state_.set_guarded(guarded_node(config_, environment_, state_.node()));
  for (const Family family : rules::kFamilies)
    dataplanes_[static_cast<std::size_t>(family)] = make_dataplane(config_.mode, family, facts(family));
}

NodeFacts Model::facts(Family family) const {
  return {.config = config_,
          .environment = environment_,
          .node = state_.node(),
          .known_endpoints = state_.known_endpoints(family),
          .service_cidrs = state_.service_cidrs(family)};
}

std::vector<state::ViewChange> Model::apply(std::vector<objects::ObjectEvent> events) {
  bool facts_changed = false;
  for (objects::ObjectEvent& event : events) {
    facts_changed = facts_changed || event.kind == Kind::kNode || event.kind == Kind::kServiceCidr;
    if (config_.host_ports != config::Config::HostPorts::kOff) host_ports_.apply(event);
    state_.apply(std::move(event));
  }
  if (facts_changed) state_.set_guarded(guarded_node(config_, environment_, state_.node()));
  const bool pods_changed = hand_on_pods();
  if (pods_changed || facts_changed) hand_on_known_pods();
  std::vector<state::ViewChange> changes = state_.take_changes();
  for (const Family family : rules::kFamilies)
    facts_changed =
        facts_changed || known_endpoints_[static_cast<std::size_t>(family)] != state_.known_endpoints(family);
  if (facts_changed) hand_on_facts();
  hand_on_services(changes);
  return changes;
}

void Model::hand_on_services(const std::vector<state::ViewChange>& changes) {
  for (const state::ViewChange& change : changes) dataplane(change.family).apply(change);
  std::ranges::move(state_.take_remarks(), std::back_inserter(remarks_));
}

std::vector<state::ViewChange> Model::set_environment(config::Environment environment) {
  environment_ = std::move(environment);
  hand_on_facts();
  state_.set_guarded(guarded_node(config_, environment_, state_.node()));
  if (hand_on_pods()) hand_on_known_pods();
  std::vector<state::ViewChange> changes = state_.take_changes();
  hand_on_services(changes);
  return changes;
}

void Model::hand_on_facts() {
  for (const Family family : rules::kFamilies) {
    known_endpoints_[static_cast<std::size_t>(family)] = state_.known_endpoints(family);
    dataplane(family).set_node(facts(family));
  }
}

bool Model::hand_on_pods() {
  if (state_.take_guard_changed()) host_ports_.consider_again();
  auto wanted = host_ports_.take_changes(state_.guard());
  if (!wanted) return false;
  for (const Family family : rules::kFamilies)
    dataplane(family).set_pods(std::move(wanted->pods[static_cast<std::size_t>(family)]));
  std::ranges::move(wanted->remarks, std::back_inserter(remarks_));
  known_pods_ = std::move(wanted->known);
  return true;
}

void Model::hand_on_known_pods() {
  for (const Family family : rules::kFamilies) {
    rules::hostport::KnownPods known = known_pods_[static_cast<std::size_t>(family)];
    if (state_.node())
      std::ranges::copy_if(state_.node()->pod_cidrs, std::back_inserter(known.ranges),
                           [&](const rules::Prefix& range) { return range.address.family == family; });
    known.current = pods_current_;
    if (known != dataplane(family).host_ports().known_pods()) dataplane(family).set_known_pods(std::move(known));
  }
}

void Model::set_pods_current(bool current) {
  if (std::exchange(pods_current_, current) != current) hand_on_known_pods();
}

}  // namespace kubenatd::agent::dataplane
