#include "agent/explain/explain.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "agent/base/log.h"
#include "agent/cli/commands.h"
#include "agent/cli/explain_sources.h"
#include "agent/cli/output.h"
#include "agent/explain/show.h"

namespace kubenatd::agent::cli {

int explain(const Options& options) {
  const ExplainOptions& asked = options.explain;
  const auto question = explain::parse_question(asked.question, asked.from);
  if (!question) {
    base::log_error(question.error());
    return kExitUsage;
  }
  const auto answer = answer_question(asked, options.flags, *question);
  if (!answer) {
    base::log_error(answer.error());
    return kExitNoAnswer;
  }
  const bool colour = ::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  const std::string text = asked.json ? explain::to_json(*answer) : explain::to_text(*answer, colour);
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (!finish_output()) return kExitNoAnswer;
  return explain::has_problem(*answer) ? kExitFailed : kExitOk;
}

}  // namespace kubenatd::agent::cli
