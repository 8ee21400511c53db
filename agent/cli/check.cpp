#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "agent/base/log.h"
#include "agent/cli/commands.h"
#include "agent/cli/output.h"
#include "agent/cli/texts.h"
#include "agent/config/describe.h"
#include "agent/daemon/configuration.h"

namespace kubenatd::agent::cli {

rules::Result<std::string> configuration_text(const config::FlagValues& flags) {
  const auto loaded = daemon::load_configuration(flags);
  if (!loaded) return std::unexpected(loaded.error());
  const auto fields = describe(loaded->config);
  std::size_t width = 0;
  for (const auto& [name, value] : fields) width = std::max(width, name.size());
  std::string text;
  for (const auto& [name, value] : fields) text += fmt::format("{:<{}}  {}\n", name, width, value);
  for (const std::string& remark : loaded->remarks) text += fmt::format("remark: {}\n", remark);
  return text;
}

int check(const Options& options) {
  if (options.check.node) return check_node(options);
  const auto text = configuration_text(options.flags);
  if (!text) {
    base::log_error(text.error());
    return kExitFailed;
  }
  std::fputs(text->c_str(), stdout);
  return finish_output() ? kExitOk : kExitFailed;
}

}  // namespace kubenatd::agent::cli
