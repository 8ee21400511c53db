#include "rules/chain_name.h"
#include "rules/text.h"
#include "rules/walk/xt/matches.h"

namespace kubenatd::rules::walk::xt {

WalkChain walk_chain(const TableText::Chain& chain, Table table, Family family) {
  WalkChain walked;
  walked.name = chain.name;
  if (chain.is_builtin) walked.base = iptables_base(name_of(table), chain.name);
  walked.rules.reserve(chain.rules.size());
  for (const Rule& rule : chain.rules) walked.rules.push_back(walk_rule(rule, family));
  return walked;
}

void add_table(Ruleset& ruleset, Family family, const TableText& table) {
  const TableFamily of = family == Family::kIpv4 ? TableFamily::kIp : TableFamily::kIp6;
  WalkTable& made = ruleset.table(of, name_of(table.table));
  for (const TableText::Chain& chain : table.chains)
    made.chains.insert_or_assign(chain.name, walk_chain(chain, table.table, family));
}

}  // namespace kubenatd::rules::walk::xt
