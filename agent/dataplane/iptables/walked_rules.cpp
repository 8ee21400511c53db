#include "agent/dataplane/iptables/walked_rules.h"

#include <string>
#include <utility>

#include "netlink/iptables/reader.h"

namespace kubenatd::agent::dataplane::iptables {

rules::Result<rules::former_walk::Ruleset> read_live_ruleset(netlink::NfTables& kernel, rules::Family family) {
  rules::former_walk::Ruleset ruleset(family);
  for (const rules::Table table : {rules::Table::kMangle, rules::Table::kNat, rules::Table::kFilter}) {
    const auto add_chain = [&](const netlink::iptables::LiveChain& live) {
      rules::former_walk::WalkChain& chain = ruleset.chain(table, live.name);
      chain.is_builtin = live.is_base;
      chain.policy_drop = live.policy_drop;
    };
    // A dump that starts again meets chains that are there already; one that went meanwhile is left without rules.
    if (auto listed = netlink::iptables::dump_chains(kernel, family, table, add_chain, [] {}); !listed)
      return std::unexpected(listed.error());
    const auto add_rule = [&](netlink::iptables::LiveRule& live) {
      rules::former_walk::WalkRule rule = rules::former_walk::walk_rule(std::move(live.rule));
      rule.counters = rules::former_walk::Counters{live.packets, live.bytes};
      ruleset.chain(table, live.chain).rules.push_back(std::move(rule));
    };
    const auto restart = [&] {
      ruleset.for_each([&](const rules::former_walk::WalkChain& chain) {
        if (chain.table == table) ruleset.chain(table, chain.name).rules.clear();
      });
    };
    if (auto read = netlink::iptables::dump_rules(kernel, family, table, {}, add_rule, restart); !read)
      return std::unexpected(read.error());
  }
  return ruleset;
}

}  // namespace kubenatd::agent::dataplane::iptables
