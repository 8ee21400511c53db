#include "agent/sync/model.h"

#include <utility>

namespace kubenatd::agent {

using rules::Family;
using rules::iptables::DesiredTables;

Model::Model(Config config, Environment environment)
    : config_(std::move(config)),
      environment_(std::move(environment)),
      state_(environment_.node_name),
      desired_{DesiredTables(compile_options(config_, environment_, std::nullopt, 0, Family::kIpv4)),
               DesiredTables(compile_options(config_, environment_, std::nullopt, 0, Family::kIpv6))} {}

std::vector<ViewChange> Model::apply(std::vector<ObjectEvent> events) {
  for (ObjectEvent& event : events) state_.apply(std::move(event));
  std::vector<ViewChange> changes = state_.take_changes();
  update_options();
  for (const ViewChange& change : changes) {
    if (change.view) {
      desired(change.family).upsert(*change.view);
    } else {
      desired(change.family).erase({change.name, change.protocol});
    }
  }
  return changes;
}

void Model::set_environment(Environment environment) {
  environment_ = std::move(environment);
  update_options();
}

void Model::update_options() {
  for (const Family family : rules::kFamilies)
    desired(family).set_options(
        compile_options(config_, environment_, state_.node(), state_.known_endpoints(family), family));
}

}  // namespace kubenatd::agent
