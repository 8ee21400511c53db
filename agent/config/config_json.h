#pragma once

#include <string>

#include "agent/config/config.h"

namespace kubenatd::agent::config {

/// The configuration in force as a KubeProxyConfiguration of kubeproxy.config.k8s.io/v1alpha1, with kind and
/// apiVersion, in one line, fields in the order of the published type. Sections that have no effect here (ipvs,
/// winkernel, the mode that is not in force) hold their defaults. kubenatd's own settings are no part of that type.
[[nodiscard]] std::string to_json(const Config& config);

/// The KubenatdConfiguration that goes behind it in a file: "---" and the settings that are not as by default, in one
/// line with a line end. Empty when all are.
[[nodiscard]] std::string settings_document(const Settings& settings);

}  // namespace kubenatd::agent::config
