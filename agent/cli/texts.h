#pragma once

#include <string>
#include <vector>

#include "agent/config/config.h"
#include "agent/config/flags.h"
#include "agent/dataplane/dataplane.h"
#include "agent/node/check.h"
#include "rules/error.h"

/// What commands print, for `report`, which prints all of it.
namespace kubenatd::agent::cli {

/// `version -o json`
[[nodiscard]] std::string version_document();

/// `check`
[[nodiscard]] rules::Result<std::string> configuration_text(const config::FlagValues& flags);

/// `check --node`
[[nodiscard]] rules::Result<node::Report> check_this_node(const config::FlagValues& flags);

/// `diff`: one chain, set or table, in iptables' tables as iptables-save writes rules, in nftables mode's own as nft
/// lists it.
[[nodiscard]] std::string to_text(const dataplane::ObjectDiff& diff, rules::Family family);

}  // namespace kubenatd::agent::cli
