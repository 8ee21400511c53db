#include <fmt/format.h>

#include <cstdio>

#include "agent/cli/commands.h"
#include "agent/cli/inputs.h"
#include "agent/cli/log.h"
#include "agent/sync/desired_listing.h"
#include "rules/nftables/text.h"

namespace kubenatd::agent {

int render(const Options& options) {
  auto inputs = read_inputs(options, false);
  if (!inputs) {
    log_error(inputs.error().to_string(), {});
    return kExitFailed;
  }
  if (auto gathered = gather(*inputs); !gathered) {
    log_error(gathered.error().to_string(), {});
    return kExitFailed;
  }
  for (const rules::Family family : rules::kFamilies) {
    if (options.family && *options.family != family) continue;
    if (!options.family) fmt::print("# {}\n", name_of(family));
    const bool nftables = inputs->model->config().mode == Config::Mode::kNftables;
    const std::string text = nftables ? rules::nftables::to_text(inputs->model->elements(family), family)
                                      : rules::to_save_text(list_desired(inputs->model->desired(family)), family);
    std::fwrite(text.data(), 1, text.size(), stdout);
  }
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0 ? kExitOk : kExitFailed;
}

}  // namespace kubenatd::agent
