#include "agent/cli/configuration.h"

#include <utility>

namespace kubenatd::agent {

rules::Result<LoadedConfig> load_configuration(const FlagValues& flags) {
  LoadedConfig loaded{.config = default_config(), .remarks = {}};
  if (flags.config) {
    auto file = load_config(*flags.config);
    if (!file) return file;
    loaded = std::move(*file);
  }
  auto remarks = apply(flags, loaded.config);
  if (!remarks) return std::unexpected(remarks.error());
  loaded.remarks.insert(loaded.remarks.end(), remarks->begin(), remarks->end());
  return loaded;
}

}  // namespace kubenatd::agent
