#pragma once

#include <string>

#include "agent/node/check.h"

/// A report for people and for programs. Pure.
namespace kubenatd::agent::node {

/// A line for each finding, and one for each mode.
[[nodiscard]] std::string to_text(const Report& report);
/// {"kernel", "modes": [{"mode", "state"}], "findings": [{"name", "state", ...}]}; what is empty is left out.
[[nodiscard]] std::string to_json(const Report& report);
/// Of findings in that state, each once, in a line: for the log.
[[nodiscard]] std::string in_one_line(const Report& report, State state);

}  // namespace kubenatd::agent::node
