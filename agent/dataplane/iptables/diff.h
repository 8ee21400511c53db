#pragma once

#include <string>
#include <vector>

#include "netlink/core/nf_tables.h"
#include "rules/iptables/desired.h"

namespace kubenatd::agent::dataplane::iptables {

/// How one chain differs from what is wanted.
struct ChainDiff {
  rules::Table table = rules::Table::kFilter;
  std::string chain;
  enum class Presence : std::uint8_t { kBoth, kMissing, kUnwanted } presence = Presence::kBoth;
  struct Line {
    char sign = ' ';  ///< '-' live and not wanted, '+' wanted and not live
    std::string rule;
  };
  std::vector<Line> lines;
};

/// Compares the live chains of one family with the desired ones, rule by rule, in chain order. Chains of others, and
/// rules of others in builtin chains, are not looked at.
[[nodiscard]] rules::Result<std::vector<ChainDiff>> diff_with_live(netlink::NfTables& kernel, rules::Family family,
                                                                   rules::iptables::DesiredTables& desired);

}  // namespace kubenatd::agent::dataplane::iptables
