#pragma once

#include "agent/cli/options.h"
#include "agent/explain/context.h"
#include "agent/explain/question.h"
#include "rules/error.h"

namespace kubenatd::agent::cli {

/// Reads objects, rules and the node as the options say: all that an answer to the question is made from, and as it was
/// then.
[[nodiscard]] rules::Result<explain::ExplainContext> read_explain_sources(const ExplainOptions& asked,
                                                                          const config::FlagValues& flags,
                                                                          const explain::Question& question);

/// Answers the question from that. Of large tables, only the chains that the packet comes to are read; where others
/// change rules meanwhile, all rules are read anew, twice at most, and then the answer says so.
[[nodiscard]] rules::Result<explain::Answer> answer_question(const ExplainOptions& asked,
                                                             const config::FlagValues& flags,
                                                             const explain::Question& question);

}  // namespace kubenatd::agent::cli
