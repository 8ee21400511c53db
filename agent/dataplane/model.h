#pragma once

#include <array>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "agent/config/config.h"
#include "agent/config/environment.h"
#include "agent/objects/objects.h"
#include "agent/state/host_port_state.h"
#include "agent/state/service_state.h"
#include "rules/iptables/desired.h"
#include "rules/nftables/desired.h"

namespace kubenatd::agent::dataplane {

/// Everything that is wanted on this node: objects, configuration and environment in, desired tables out. Knows no
/// kernel; `render` needs nothing else.
///
/// Threading: one thread. Failure: none. Cost: as ServiceState and DesiredTables.
class Model {
 public:
  Model(config::Config config, config::Environment environment);

  /// Takes events in and returns what changed of the service ports, already handed on to the desired tables.
  std::vector<state::ViewChange> apply(std::vector<objects::ObjectEvent> events);
  void set_environment(config::Environment environment);
  /// What there is to say about host ports since the last call, one line each.
  [[nodiscard]] std::vector<std::string> take_remarks() { return std::exchange(remarks_, {}); }

  /// Health checks of Services that have changed since the last call.
  [[nodiscard]] state::HealthCheckChanges take_health_checks() { return state_.take_health_checks(); }

  [[nodiscard]] const config::Config& config() const { return config_; }
  [[nodiscard]] const config::Environment& environment() const { return environment_; }
  [[nodiscard]] const state::ServiceState& state() const { return state_; }
  [[nodiscard]] rules::iptables::DesiredTables& desired(rules::Family family) {
    return desired_[static_cast<std::size_t>(family)];
  }
  [[nodiscard]] const rules::iptables::DesiredTables& desired(rules::Family family) const {
    return desired_[static_cast<std::size_t>(family)];
  }

  /// The desired state of nftables mode; empty in iptables mode, as desired() is in nftables mode but for its options
  /// and host ports.
  [[nodiscard]] rules::nftables::DesiredElements& elements(rules::Family family) {
    return elements_[static_cast<std::size_t>(family)];
  }
  void for_each_view(rules::Family family, const std::function<void(const rules::ServicePortView&)>& visit) const;

 private:
  void update_options();
  void apply(const state::ViewChange& change);
  void update_host_ports();

  config::Config config_;
  config::Environment environment_;
  state::ServiceState state_;
  state::HostPortState host_ports_;
  std::vector<std::string> remarks_;
  std::array<rules::iptables::DesiredTables, 2> desired_;
  std::array<rules::nftables::DesiredElements, 2> elements_;
};

}  // namespace kubenatd::agent::dataplane
