#pragma once

#include "agent/cli/options.h"
#include "agent/explain/context.h"
#include "agent/explain/question.h"
#include "rules/error.h"

namespace kubenatd::agent::cli {

/// Reads objects, rules and the node as the options say: all that an answer to the question is made from.
[[nodiscard]] rules::Result<explain::ExplainContext> read_explain_sources(const ExplainOptions& asked,
                                                                          const config::FlagValues& flags,
                                                                          const explain::Question& question);

}  // namespace kubenatd::agent::cli
