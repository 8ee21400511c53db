#include "agent/daemon/configuration.h"

#include <utility>

namespace kubenatd::agent::daemon {

rules::Result<config::LoadedConfig> load_configuration(const config::FlagValues& flags) {
  config::LoadedConfig loaded{.config = config::default_config(), .remarks = {}};
  if (flags.config) {
    auto file = config::load_config(*flags.config);
    if (!file) return file;
    loaded = std::move(*file);
  }
  auto remarks = config::apply(flags, loaded.config);
  if (!remarks) return std::unexpected(remarks.error());
  loaded.remarks.insert(loaded.remarks.end(), remarks->begin(), remarks->end());
  return loaded;
}

}  // namespace kubenatd::agent::daemon
