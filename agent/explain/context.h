#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/explain/answer.h"
#include "agent/explain/inventory.h"
#include "rules/service_port.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::agent {

/// Everything that an explanation is made from. Another dataplane gives its rules as a Ruleset, too, or none.
struct ExplainContext {
  Inventory inventory;                                         ///< empty: nothing is known but the rules
  std::array<std::vector<rules::ServicePortView>, 2> views;    ///< by family
  std::array<std::optional<rules::walk::Ruleset>, 2> rules;    ///< that packets are walked through
  std::array<std::optional<rules::walk::Ruleset>, 2> desired;  ///< to compare with; none: `rules` is the desired state
  rules::walk::Surroundings surroundings;
  std::string node_name;
  std::vector<rules::Address> node_addresses;                               ///< best first
  std::string source;                                                       ///< desired, live, saved
  std::function<std::vector<KnownFlow>(const rules::walk::Packet&)> flows;  ///< none: not asked
};

}  // namespace kubenatd::agent
