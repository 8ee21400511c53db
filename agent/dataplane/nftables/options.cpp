#include "agent/dataplane/nftables/options.h"

#include <algorithm>

namespace kubenatd::agent::dataplane::nftables {

rules::nftables::RulesetOptions ruleset_options(const NodeFacts& facts, rules::Family family) {
  rules::nftables::RulesetOptions options;
  options.node = config::node_options(facts.config, facts.environment, facts.node, family);
  options.fast_path = facts.environment.fast_path;
  options.count_connections = facts.config.counted_services != 0;
  for (const auto* cidrs : {&facts.config.service_cidrs, &facts.service_cidrs})
    for (const rules::Prefix& cidr : *cidrs)
      if (cidr.address.family == family &&
          std::ranges::find(options.service_cidrs, cidr) == options.service_cidrs.end())
        options.service_cidrs.push_back(cidr);
  return options;
}

}  // namespace kubenatd::agent::dataplane::nftables
