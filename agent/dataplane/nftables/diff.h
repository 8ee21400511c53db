#pragma once

#include <string>
#include <vector>

#include "agent/dataplane/iptables/diff.h"
#include "netlink/core/nf_tables.h"
#include "rules/nftables/desired.h"

namespace kubenatd::agent::dataplane::nftables {

/// How one set or chain of nftables mode's table differs from what is wanted.
struct NftablesDiff {
  std::string object;  ///< "chain services", "map endpoints", "table kubenatd"
  iptables::ChainDiff::Presence presence = iptables::ChainDiff::Presence::kBoth;
  std::vector<iptables::ChainDiff::Line> lines;
};

/// Compares the live table of one family with the desired one. Remembered clients are not looked at. Live rules that
/// are not wanted are told by the names of their expressions.
[[nodiscard]] rules::Result<std::vector<NftablesDiff>> diff_nftables_with_live(
    netlink::NfTables& kernel, rules::Family family, rules::nftables::DesiredElements& desired);

}  // namespace kubenatd::agent::dataplane::nftables
