#include "agent/dataplane/model.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace kubenatd::agent::dataplane {

using objects::Kind;
using rules::Family;

Model::Model(config::Config config, config::Environment environment)
    : config_(std::move(config)),
      environment_(std::move(environment)),
      state_(environment_.node_name),
      host_ports_(environment_.node_name) {
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
  hand_on_pods();
  std::vector<state::ViewChange> changes = state_.take_changes();
  for (const Family family : rules::kFamilies)
    facts_changed =
        facts_changed || known_endpoints_[static_cast<std::size_t>(family)] != state_.known_endpoints(family);
  if (facts_changed) hand_on_facts();
  for (const state::ViewChange& change : changes) dataplane(change.family).apply(change);
  return changes;
}

void Model::set_environment(config::Environment environment) {
  environment_ = std::move(environment);
  hand_on_facts();
}

void Model::hand_on_facts() {
  for (const Family family : rules::kFamilies) {
    known_endpoints_[static_cast<std::size_t>(family)] = state_.known_endpoints(family);
    dataplane(family).set_node(facts(family));
  }
}

void Model::hand_on_pods() {
  auto wanted = host_ports_.take_changes();
  if (!wanted) return;
  for (const Family family : rules::kFamilies)
    dataplane(family).set_pods(std::move(wanted->pods[static_cast<std::size_t>(family)]));
  std::ranges::move(wanted->remarks, std::back_inserter(remarks_));
}

}  // namespace kubenatd::agent::dataplane
