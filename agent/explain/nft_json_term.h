#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "rules/walk/nft/language.h"

/// Expressions and constants in nft's JSON, as its language (libnftables-json(5)). Pure; failure: what is not
/// understood says so.
namespace kubenatd::agent::explain {

[[nodiscard]] rules::walk::nft::Term nft_term(const nlohmann::json& expression);
/// "{ ... }"; elements of a map are pairs.
[[nodiscard]] rules::walk::nft::Term nft_elements(const nlohmann::json& elements, bool is_map);
/// What stands on the right of "vmap" and "map": a set of pairs, or a name.
[[nodiscard]] rules::walk::nft::Term nft_map_data(const nlohmann::json& data);
/// The verdict that a statement or value is; none: it is another one.
[[nodiscard]] std::optional<rules::walk::ToVerdict> nft_verdict(const std::string& key, const nlohmann::json& what);

}  // namespace kubenatd::agent::explain
