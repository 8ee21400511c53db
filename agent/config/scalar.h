#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <string>
#include <variant>

namespace kubenatd::agent::config {

/// A value of YAML 1.1: null, bool, whole number, other number or text. A whole number that does not fit into 64 bits
/// is kept as the other kind, as JSON readers do.
using Scalar = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

/// What a scalar node means, resolved as kube-proxy's reader does: quoted text and !!str are text.
[[nodiscard]] Scalar resolve(const YAML::Node& node);

/// True for an absent node, a null and nothing else.
[[nodiscard]] bool is_null(const YAML::Node& node);

}  // namespace kubenatd::agent::config
