#include "rules/chain_name.h"
#include "rules/text.h"
#include "rules/walk/xt/matches.h"

namespace kubenatd::rules::walk::xt {

void add_table(Ruleset& ruleset, Family family, const TableText& table) {
  const std::string_view name = name_of(table.table);
  WalkTable& made = ruleset.table(family == Family::kIpv4 ? TableFamily::kIp : TableFamily::kIp6, name);
  for (const TableText::Chain& chain : table.chains) {
    WalkChain& walked = made.chains[chain.name];
    walked.name = chain.name;
    if (chain.is_builtin) walked.base = iptables_base(name, chain.name);
    walked.rules.reserve(walked.rules.size() + chain.rules.size());
    for (const Rule& rule : chain.rules) walked.rules.push_back(walk_rule(rule, family));
  }
}

}  // namespace kubenatd::rules::walk::xt
