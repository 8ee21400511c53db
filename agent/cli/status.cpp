#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "agent/base/log.h"
#include "agent/cli/commands.h"
#include "agent/cli/output.h"
#include "agent/cli/running_agent.h"
#include "agent/seen/json.h"
#include "agent/seen/show.h"
#include "agent/serve/seen_pages.h"

namespace kubenatd::agent::cli {

int status(const Options& options) {
  const auto document = ask_running_agent(options.flags, serve::kStatusPath);
  if (!document) {
    base::log_error(document.error());
    return kExitNoAnswer;
  }
  const auto known = seen::read_status(*document);
  if (!known) {
    base::log_error(known.error());
    return kExitNoAnswer;
  }
  if (options.seen.json)
    fmt::print("{}\n", nlohmann::ordered_json::parse(*document).dump(2));
  else
    fmt::print("{}", options.seen.row ? to_row(*known) : to_text(*known));
  if (!finish_output()) return kExitNoAnswer;
  return known->problems.empty() ? kExitOk : kExitFailed;
}

}  // namespace kubenatd::agent::cli
