#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/config/config.h"
#include "agent/config/environment.h"
#include "agent/dataplane/dataplane.h"
#include "agent/objects/objects.h"
#include "agent/state/host_port_state.h"
#include "agent/state/service_state.h"

namespace kubenatd::agent::dataplane {

/// Everything that is wanted on this node: objects, configuration and environment in, the dataplane of each family out.
/// Opens no kernel; `render` needs nothing else.
///
/// Threading: one thread. Failure: none. Cost: as ServiceState and the mode's Dataplane.
class Model {
 public:
  Model(config::Config config, config::Environment environment);

  /// Takes events in and returns what changed of the service ports, already handed on to the dataplanes.
  std::vector<state::ViewChange> apply(std::vector<objects::ObjectEvent> events);
  /// Service ports may change with it, as those that a Service may have do. They are returned as by apply().
  std::vector<state::ViewChange> set_environment(config::Environment environment);
  /// Whether the source tells of changes of Pods at present. True until something else is said.
  void set_pods_current(bool current);
  /// What there is to say since the last call about what Services and Pods ask for and do not get, one line each.
  [[nodiscard]] std::vector<std::string> take_remarks() { return std::exchange(remarks_, {}); }

  /// Health checks of Services that have changed since the last call.
  [[nodiscard]] state::HealthCheckChanges take_health_checks() { return state_.take_health_checks(); }

  [[nodiscard]] const config::Config& config() const { return config_; }
  [[nodiscard]] const config::Environment& environment() const { return environment_; }
  [[nodiscard]] const state::ServiceState& state() const { return state_; }
  [[nodiscard]] NodeFacts facts(rules::Family family) const;
  [[nodiscard]] Dataplane& dataplane(rules::Family family) { return *dataplanes_[static_cast<std::size_t>(family)]; }
  [[nodiscard]] const Dataplane& dataplane(rules::Family family) const {
    return *dataplanes_[static_cast<std::size_t>(family)];
  }

 private:
  void hand_on_facts();
  void hand_on_services(const std::vector<state::ViewChange>& changes);
  /// True when there was something to hand on.
  [[nodiscard]] bool hand_on_pods();
  void hand_on_known_pods();

  config::Config config_;
  config::Environment environment_;
  state::ServiceState state_;
  state::HostPortState host_ports_;
  std::vector<std::string> remarks_;
  std::array<std::unique_ptr<Dataplane>, 2> dataplanes_;
  std::array<std::size_t, 2> known_endpoints_{};          ///< as handed on
  std::array<rules::hostport::KnownPods, 2> known_pods_;  ///< as the pods tell; ranges are the node's
  bool pods_current_ = true;
};

}  // namespace kubenatd::agent::dataplane
