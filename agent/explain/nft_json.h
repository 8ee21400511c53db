#pragma once

#include <string_view>

#include "rules/error.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::agent::explain {

/// Reads what `nft -j list ruleset` printed (libnftables-json(5), schema version 1), and adds its tables to `into`.
/// What is not understood becomes a statement that cannot be judged, as with the text
/// (rules::walk::nft::read_ruleset_text).
///
/// Failure: an error says what is not as it should be. Cost: linear.
[[nodiscard]] rules::Status read_nft_json(std::string_view text, rules::walk::Ruleset& into);

}  // namespace kubenatd::agent::explain
