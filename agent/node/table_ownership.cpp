#include "agent/node/table_ownership.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "agent/dataplane/table_owner.h"
#include "netlink/core/nf_tables.h"
#include "rules/change.h"
#include "rules/nftables/ruleset.h"

namespace kubenatd::agent::node {

using config::Settings;

TableOwners read_table_owners(dataplane::Kernel& kernel) {
  TableOwners found;
  auto socket = kernel.connect();
  if (!socket) return found;
  if (const auto can = dataplane::can_own_tables(**socket, rules::Family::kIpv4)) found.kernel_can = *can;
  netlink::NfTables tables(std::move(*socket));
  for (const rules::Family family : rules::kFamilies) {
    const auto owner = dataplane::foreign_owner(tables, family, rules::nftables::kTable);
    if (!owner || !*owner) continue;
    found.owners.push_back(fmt::format("{} by {}", rules::to_text(rules::table_ref(family, rules::nftables::kTable)),
                                       dataplane::name_of_owner(**owner)));
  }
  return found;
}

Findings judge(const TableOwners& owners, Settings::OwnTable wanted) {
  // Of no mode: it does not decide whether one can run.
  Finding finding{.name = "own-table"};
  const bool is_wanted = wanted != Settings::OwnTable::kOff;
  if (!is_wanted) {
    finding.what = "off (--own-table off): what others change in the table is healed";
  } else if (!owners.kernel_can) {
    finding.state = State::kUnknown;
    finding.what = "whether this kernel has tables with flags owner and persist could not be found out";
  } else if (*owners.kernel_can) {
    finding.what = "no other program can change the table while kubenatd runs";
  } else {
    finding.state = wanted == Settings::OwnTable::kOn ? State::kWarning : State::kYes;
    finding.what = "this kernel has no tables with flags owner and persist: what others change in the table is healed";
    finding.since = "6.9";
  }
  if (!owners.owners.empty()) finding.what += fmt::format("; owned now: {}", fmt::join(owners.owners, ", "));
  return {std::move(finding)};
}

}  // namespace kubenatd::agent::node
