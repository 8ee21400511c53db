#pragma once

#include "netlink/core/nf_tables.h"
#include "rules/former_walk/ruleset.h"

namespace kubenatd::agent::dataplane::iptables {

/// The kernel's mangle, nat and filter tables of one family, everybody's rules and their packet counters. A rule that
/// the decoder does not understand is there, named by its expressions.
[[nodiscard]] rules::Result<rules::former_walk::Ruleset> read_live_ruleset(netlink::NfTables& kernel,
                                                                           rules::Family family);

}  // namespace kubenatd::agent::dataplane::iptables
