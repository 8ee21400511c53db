#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace kubenatd::agent::objects {

/// What an unquoted YAML scalar means, as Kubernetes' reader sees it: YAML core schema (null, booleans, integers in
/// base 2, 8, 10 and 16, floats) with YAML 1.1's yes/no/on/off and leading-zero octal. Everything else, timestamps
/// included, is a string.
[[nodiscard]] nlohmann::json resolve_plain_scalar(std::string_view text);

}  // namespace kubenatd::agent::objects
