#pragma once

#include <string_view>

#include "rules/error.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::rules::walk::nft {

/// Whether the text is one of `nft list ruleset` (or `list table`) rather than of iptables-save.
[[nodiscard]] bool looks_like_ruleset(std::string_view text);

/// Reads what `nft list ruleset` of 0.9.8 to 1.1.x printed, with or without -a, -n, -s, -t (without elements: the sets
/// are not complete), also of one table. Adds its tables to `into`. Statements that are not understood are ones that
/// cannot be judged, so no rule is lost or taken for another one. Rules of iptables-nft that nft prints as "xt match
/// ..." or
/// "# xt_..." are such ones.
///
/// Failure: an error that names the line. Cost: linear.
[[nodiscard]] Status read_ruleset_text(std::string_view text, Ruleset& into);

}  // namespace kubenatd::rules::walk::nft
