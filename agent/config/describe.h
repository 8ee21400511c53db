#pragma once

#include <string>
#include <utility>
#include <vector>

#include "agent/config/config.h"

namespace kubenatd::agent::config {

/// What was understood, field by field, in the order of the file: the name as the file writes it and the value in
/// force; then kubenatd's own settings, by their flags. Fields of the mode that is not in force are left out. Values
/// are fit to be printed.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> describe(const Config& config);

}  // namespace kubenatd::agent::config
