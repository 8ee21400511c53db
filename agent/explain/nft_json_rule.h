#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "rules/walk/nft/language.h"

/// Statements of rules in nft's JSON, as its language (libnftables-json(5)). Pure; failure: what is not understood says
/// so.
namespace kubenatd::agent::explain {

[[nodiscard]] rules::walk::nft::Clause nft_clause(const nlohmann::json& statement);
/// The text of a limit, quota or the like; empty: it is another statement.
[[nodiscard]] std::string nft_condition(const nlohmann::json& statement);

}  // namespace kubenatd::agent::explain
