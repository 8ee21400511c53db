#include <fmt/format.h>

#include <cstdio>

#include "agent/base/log.h"
#include "agent/cli/commands.h"
#include "agent/cli/output.h"
#include "agent/daemon/inputs.h"

namespace kubenatd::agent::cli {

int render(const Options& options) {
  auto inputs = daemon::read_inputs(options.flags, daemon::Purpose::kLook);
  if (!inputs) {
    base::log_error(inputs.error());
    return kExitFailed;
  }
  if (auto gathered = daemon::gather(*inputs); !gathered) {
    base::log_error(gathered.error());
    return kExitFailed;
  }
  for (const rules::Family family : rules::kFamilies) {
    if (options.family && *options.family != family) continue;
    if (!options.family) fmt::print("# {}\n", name_of(family));
    const std::string text = inputs->model->dataplane(family).render();
    std::fwrite(text.data(), 1, text.size(), stdout);
  }
  return finish_output() ? kExitOk : kExitFailed;
}

}  // namespace kubenatd::agent::cli
