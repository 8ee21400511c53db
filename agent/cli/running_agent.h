#pragma once

#include <string>

#include "agent/config/flags.h"
#include "rules/error.h"

namespace kubenatd::agent::cli {

/// Asks the agent that runs on this node for a document, at the metrics address of the configuration. Nothing is known
/// without it: an error says who was asked and why there is no answer.
[[nodiscard]] rules::Result<std::string> ask_running_agent(const config::FlagValues& flags, const std::string& target);

}  // namespace kubenatd::agent::cli
