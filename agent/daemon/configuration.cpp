#include "agent/daemon/configuration.h"

#include <algorithm>
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
  // Who asks for kube-proxy's full syncs gets the comparison at least as often.
  config::Config& config = loaded.config;
  if (config.sync_period_set) config.audit_period = std::min(config.audit_period, config.sync_period);
  return loaded;
}

}  // namespace kubenatd::agent::daemon
