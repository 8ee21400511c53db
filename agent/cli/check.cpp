#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "agent/cli/commands.h"
#include "agent/cli/configuration.h"
#include "agent/cli/log.h"
#include "agent/config/describe.h"

namespace kubenatd::agent {
int check(const Options& options) {
  const auto loaded = load_configuration(options.flags);
  if (!loaded) {
    log_error(loaded.error().to_string());
    return kExitFailed;
  }
  const auto fields = describe(loaded->config);
  std::size_t width = 0;
  for (const auto& [name, value] : fields) width = std::max(width, name.size());
  for (const auto& [name, value] : fields) fmt::print("{:<{}}  {}\n", name, width, value);
  for (const std::string& remark : loaded->remarks) fmt::print("remark: {}\n", remark);
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  return written ? kExitOk : kExitFailed;
}

}  // namespace kubenatd::agent
