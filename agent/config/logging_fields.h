#pragma once

#include <map>
#include <string>

#include "agent/config/config.h"
#include "agent/config/field_reader.h"

namespace kubenatd::agent::config {

/// Reads and checks `logging` as Kubernetes' components do (k8s.io/component-base v0.36 logs/api/v1). The feature gates
/// of logging count as there: splitStream and infoBufferSize need LoggingAlphaOptions.
[[nodiscard]] Config::Logging read_logging(FieldReader reader, const std::map<std::string, bool>& gates,
                                           ConfigFindings& findings);

}  // namespace kubenatd::agent::config
