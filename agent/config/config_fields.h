#pragma once

#include "agent/config/config.h"
#include "agent/config/field_reader.h"

namespace kubenatd::agent::config {

/// Reads, defaults and validates the fields of one KubeProxyConfiguration as kube-proxy v1.36 does. The result counts
/// only when `findings` has no mistakes.
[[nodiscard]] Config read_fields(const nlohmann::json& document, ConfigFindings& findings);

}  // namespace kubenatd::agent::config
