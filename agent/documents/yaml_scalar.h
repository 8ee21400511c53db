#pragma once

#include <expected>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

/// Text of manifests, kubeconfigs and configuration as sigs.k8s.io/yaml v1.6.0 reads it (with go.yaml.in/yaml/v2
/// v2.4.2): kubectl, kube-proxy and client-go use nothing else. Tested against tables that it made.
namespace kubenatd::agent::documents {

/// What an unquoted scalar means: null, a boolean (y, yes, true, on, ... by YAML 1.1), a number, or else text. A number
/// that is out of range is text, a time is text.
[[nodiscard]] nlohmann::json resolve_plain_scalar(std::string_view text);

/// The same for a scalar with a tag in its long form ("tag:yaml.org,2002:int"). An error says why the text cannot be of
/// that type. A tag that is not known makes text.
[[nodiscard]] std::expected<nlohmann::json, std::string> resolve_tagged_scalar(std::string_view tag,
                                                                               std::string_view text);

/// The key that a scalar is in JSON: true, 1, 1e+06 as text. An error for null and for a number past 64 bits with sign.
[[nodiscard]] std::expected<std::string, std::string> key_of(const nlohmann::json& scalar);

}  // namespace kubenatd::agent::documents
