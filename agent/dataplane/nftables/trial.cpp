#include "agent/dataplane/nftables/trial.h"

#include <set>
#include <string>

#include "agent/dataplane/nftables/options.h"
#include "agent/dataplane/trial.h"
#include "netlink/core/trial.h"
#include "netlink/nftables/codec.h"

namespace kubenatd::agent::dataplane::nftables {

namespace codec = netlink::nftables;

netlink::Batch make_trial(rules::Family family, const NodeFacts& facts) {
  // Every statement that may come: those for affinity and source ranges are there as soon as a Service has such, and
  // from all ranges but the first is drawn alike.
  const rules::nftables::InUse in_use{.timeouts = {10800}, .sizes = {2, 2, 2, 2}, .source_ranges = true};
  const rules::nftables::Ruleset ruleset = rules::nftables::compile_ruleset(ruleset_options(facts, family), in_use);
  netlink::Batch table;
  codec::add_nft_table(table, family);
  for (const rules::nftables::SetSpec& set : ruleset.sets) codec::add_nft_set(table, family, set);
  for (const rules::nftables::FlowtableSpec& flowtable : ruleset.flowtables)
    codec::add_nft_flowtable(table, family, flowtable);
  for (const rules::nftables::Chain& chain : ruleset.chains) codec::add_nft_chain(table, family, chain);
  std::set<std::string> written;
  for (const rules::nftables::Chain& chain : ruleset.chains) {
    for (const rules::nftables::NftRule& rule : chain.rules) {
      for (const rules::nftables::Statement& statement : rule.statements) {
        const rules::nftables::NftRule alone{.statements = {statement}, .comment = {}};
        if (written.insert(codec::encode_nft_expressions(alone, family)).second)
          codec::add_nft_rule(table, family, chain.name, alone);
      }
    }
  }
  netlink::Batch batch;
  netlink::add_dormant_table(batch, family, kTrialName);
  batch.append(table.in_table(kTrialName));
  return batch;
}

}  // namespace kubenatd::agent::dataplane::nftables
