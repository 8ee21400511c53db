#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "agent/base/log.h"
#include "agent/base/signals.h"
#include "agent/cli/commands.h"
#include "agent/cli/explain_sources.h"
#include "agent/cli/output.h"
#include "agent/daemon/advice.h"
#include "agent/explain/question.h"
#include "agent/trace/show.h"
#include "agent/trace/tracer.h"

namespace kubenatd::agent::cli {
namespace {

int fail_with(const rules::Error& error, int code = kExitNoAnswer) {
  base::log_error(error);
  return code;
}

int exit_code(trace::Conclusion conclusion) {
  switch (conclusion) {
    case trace::Conclusion::kAsPredicted: return kExitOk;
    case trace::Conclusion::kDiffers: return kExitFailed;
    case trace::Conclusion::kUnknown: break;
  }
  return kExitNoAnswer;
}

}  // namespace

int trace(const Options& options) {
  const ExplainOptions& asked = options.explain;
  const auto question = explain::parse_question(asked.question, asked.from);
  if (!question) return fail_with(question.error(), kExitUsage);
  auto signals = base::Signals::open();
  if (!signals) return fail_with(signals.error());
  const trace::Order order{.question = *question,
                           .connect = options.trace.connect,
                           .duration = options.trace.duration,
                           .packets = options.trace.packets,
                           .stop = signals->fd()};
  int code = kExitNoAnswer;
  const auto traced = trace::trace_packets(
      order, read_explain_sources(asked, options.flags, *question), [&](const trace::Report& report) {
        const bool colour = ::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
        const std::string text = asked.json ? trace::to_json(report) : trace::to_text(report, colour);
        std::fwrite(text.data(), 1, text.size(), stdout);
        if (finish_output()) code = exit_code(trace::conclude(report));
      });
  if (!traced)
    return fail_with(daemon::with_kernel_advice(traced.error().error),
                     traced.error().wrong_order ? kExitUsage : kExitNoAnswer);
  return code;
}

}  // namespace kubenatd::agent::cli
