#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/dataplane/model.h"
#include "agent/explain/answer.h"
#include "agent/explain/inventory.h"
#include "agent/explain/passed_over.h"
#include "agent/state/frontend_guard.h"
#include "rules/service_port.h"
#include "rules/walk/packet.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::agent::explain {

/// Everything that an explanation is made from.
struct ExplainContext {
  Inventory inventory;                                              ///< empty: nothing is known but the rules
  std::shared_ptr<const dataplane::Model> model;                    ///< for those below that point into it
  std::array<std::vector<const rules::ServicePortView*>, 2> views;  ///< by family
  rules::walk::Ruleset rules;                                       ///< what packets are walked through
  std::optional<rules::walk::Ruleset> desired;  ///< to compare with; none: `rules` is the desired state
  rules::walk::Surroundings surroundings;
  std::optional<state::FrontendGuard> guard;  ///< who does not get what it asks for; none: it is not known
  std::string node_name;
  std::vector<rules::Address> node_addresses;  ///< best first
  /// Where NodePorts answer, by family; none: on every local address, or it is not known.
  std::array<std::optional<std::vector<rules::Address>>, 2> node_port_addresses;
  std::string source;        ///< desired, live, saved
  std::string in_interface;  ///< by which a packet comes in; empty: as the surroundings say
  std::function<std::vector<KnownFlow>(const rules::walk::Packet&)> flows;  ///< none: not asked
  std::vector<rules::walk::NotLookedAt> not_looked_at;                      ///< besides those that the rules name
  Passed passed;
};

}  // namespace kubenatd::agent::explain
