#pragma once

#include <optional>

#include "agent/cli/options.h"
#include "agent/daemon/inputs.h"
#include "agent/explain/context.h"
#include "rules/error.h"

namespace kubenatd::agent::cli {

/// What explanations are made from. The context points into the inputs.
struct ExplainSources {
  std::optional<daemon::Inputs> inputs;
  explain::ExplainContext context;
};

/// Reads objects, rules and the node as the options say; connections are not looked at.
[[nodiscard]] rules::Result<ExplainSources> read_explain_sources(const ExplainOptions& asked,
                                                                 const config::FlagValues& flags);

}  // namespace kubenatd::agent::cli
