#pragma once

#include <string>
#include <vector>

#include "agent/sync/live_diff.h"
#include "netlink/nf_tables.h"
#include "rules/nftables/desired.h"

namespace kubenatd::agent {

/// How one set or chain of nftables mode's table differs from what is wanted.
struct NftablesDiff {
  std::string object;  ///< "chain services", "map endpoints", "table kubenatd"
  ChainDiff::Presence presence = ChainDiff::Presence::kBoth;
  std::vector<ChainDiff::Line> lines;
};

/// Compares the live table of one family with the desired one. Remembered clients are not looked at. Live rules that
/// are not wanted are told by the names of their expressions.
[[nodiscard]] rules::Result<std::vector<NftablesDiff>> diff_nftables_with_live(
    netlink::NfTables& kernel, rules::Family family, rules::nftables::DesiredElements& desired);

}  // namespace kubenatd::agent
