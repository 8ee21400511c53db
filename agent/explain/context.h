#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/explain/answer.h"
#include "agent/explain/inventory.h"
#include "rules/former_walk/ruleset.h"
#include "rules/nftables/walk.h"
#include "rules/service_port.h"

namespace kubenatd::agent::explain {

/// Everything that an explanation is made from.
struct ExplainContext {
  Inventory inventory;                                              ///< empty: nothing is known but the rules
  std::array<std::vector<rules::ServicePortView>, 2> views;         ///< by family
  std::array<std::optional<rules::former_walk::Ruleset>, 2> rules;  ///< the rules that packets are walked through
  std::array<std::optional<rules::former_walk::Ruleset>, 2>
      desired;  ///< to compare with; none: `rules` is the desired state
  std::array<std::optional<rules::nftables::TableState>, 2> table;          ///< nftables mode, in place of `rules`
  std::array<std::optional<rules::nftables::TableState>, 2> desired_table;  ///< to compare with; none: as `desired`
  rules::former_walk::Surroundings surroundings;
  std::string node_name;
  std::vector<rules::Address> node_addresses;                                      ///< best first
  std::string source;                                                              ///< desired, live, saved
  std::function<std::vector<KnownFlow>(const rules::former_walk::Packet&)> flows;  ///< none: not asked
};

}  // namespace kubenatd::agent::explain
