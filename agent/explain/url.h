#pragma once

#include "agent/explain/context.h"

namespace kubenatd::agent::explain {

/// Answers a question of the form http(s)://HOST[:PORT]/PATH: the Ingress or HTTPRoute that host and path fall under,
/// the way to the controller, and the way from there to the Service behind it.
[[nodiscard]] rules::Result<Answer> explain_url(const ExplainContext& context, const Question& question);

}  // namespace kubenatd::agent::explain
