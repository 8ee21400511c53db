#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "rules/error.h"

namespace kubenatd::agent::api {

/// What is wrong with the types in a kubeconfig, as client-go v0.36 finds it when it decodes the whole file, also where
/// nothing of it is used: wrong types, bad base64, names that stand twice. Nulls are fine, and unknown fields are
/// passed over. `file` is the object of the error.
[[nodiscard]] rules::Status check_kubeconfig(const nlohmann::json& document, const std::string& file);

}  // namespace kubenatd::agent::api
