#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "agent/base/log.h"
#include "agent/cli/commands.h"
#include "agent/cli/output.h"
#include "agent/config/describe.h"
#include "agent/daemon/configuration.h"

namespace kubenatd::agent::cli {
int check(const Options& options) {
  if (options.check.node) return check_node(options);
  const auto loaded = daemon::load_configuration(options.flags);
  if (!loaded) {
    base::log_error(loaded.error());
    return kExitFailed;
  }
  const auto fields = describe(loaded->config);
  std::size_t width = 0;
  for (const auto& [name, value] : fields) width = std::max(width, name.size());
  for (const auto& [name, value] : fields) fmt::print("{:<{}}  {}\n", name, width, value);
  for (const std::string& remark : loaded->remarks) fmt::print("remark: {}\n", remark);
  return finish_output() ? kExitOk : kExitFailed;
}

}  // namespace kubenatd::agent::cli
