#pragma once

#include "agent/explain/context.h"

namespace kubenatd::agent::explain {

/// Answers a question. Pure, but for context.flows.
///
/// Failure: an error when the question cannot be answered, because the address of the node is not known or there are no
/// rules of the family. What is wrong with the cluster is no error but part of the answer.
[[nodiscard]] rules::Result<Answer> explain(const ExplainContext& context, const Question& question);

/// True when the answer names a problem.
[[nodiscard]] bool has_problem(const Answer& answer);
/// Whether the rules changed while the answer was made: it is better made anew, from rules that are read anew.
[[nodiscard]] bool met_changes(const Answer& answer);

}  // namespace kubenatd::agent::explain
