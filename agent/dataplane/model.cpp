#include "agent/dataplane/model.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace kubenatd::agent::dataplane {

using rules::Family;
using rules::iptables::DesiredTables;
using rules::nftables::DesiredElements;

Model::Model(config::Config config, config::Environment environment)
    : config_(std::move(config)),
      environment_(std::move(environment)),
      state_(environment_.node_name),
      host_ports_(environment_.node_name),
      desired_{DesiredTables(config::compile_options(config_, environment_, std::nullopt, 0, Family::kIpv4)),
               DesiredTables(config::compile_options(config_, environment_, std::nullopt, 0, Family::kIpv6))},
      elements_{DesiredElements(config::nftables_options(config_, desired_[0].options(), {})),
                DesiredElements(config::nftables_options(config_, desired_[1].options(), {}))} {}

std::vector<state::ViewChange> Model::apply(std::vector<objects::ObjectEvent> events) {
  for (objects::ObjectEvent& event : events) {
    if (config_.host_ports != config::Config::HostPorts::kOff) host_ports_.apply(event);
    state_.apply(std::move(event));
  }
  update_host_ports();
  std::vector<state::ViewChange> changes = state_.take_changes();
  update_options();
  for (const state::ViewChange& change : changes) apply(change);
  return changes;
}

void Model::apply(const state::ViewChange& change) {
  const auto hand_on = [&](auto& desired) {
    if (change.view) {
      desired.upsert(*change.view);
    } else {
      desired.erase({change.name, change.protocol});
    }
  };
  if (config_.mode == config::Config::Mode::kNftables) {
    hand_on(elements(change.family));
  } else {
    hand_on(desired(change.family));
  }
}

void Model::for_each_view(Family family, const std::function<void(const rules::ServicePortView&)>& visit) const {
  if (config_.mode == config::Config::Mode::kNftables) {
    elements_[static_cast<std::size_t>(family)].for_each_view(visit);
  } else {
    desired(family).for_each_view(visit);
  }
}

void Model::update_host_ports() {
  auto wanted = host_ports_.take_changes();
  if (!wanted) return;
  for (const Family family : rules::kFamilies) {
    auto& host_ports = desired(family).host_ports();
    host_ports.set_pods(std::move(wanted->pods[static_cast<std::size_t>(family)]));
    if (config_.mode == config::Config::Mode::kNftables) elements(family).set_host_ports(host_ports.in_force());
  }
  std::ranges::move(wanted->remarks, std::back_inserter(remarks_));
}

void Model::set_environment(config::Environment environment) {
  environment_ = std::move(environment);
  update_options();
}

void Model::update_options() {
  for (const Family family : rules::kFamilies) {
    desired(family).set_options(
        config::compile_options(config_, environment_, state_.node(), state_.known_endpoints(family), family));
    elements(family).set_options(
        config::nftables_options(config_, desired(family).options(), state_.service_cidrs(family)));
  }
}

}  // namespace kubenatd::agent::dataplane
