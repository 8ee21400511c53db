#pragma once

#include "agent/config/config.h"
#include "agent/config/flags.h"

namespace kubenatd::agent::daemon {

/// The configuration that a command works with: the file of --config, or kube-proxy's defaults, and its flags over it.
[[nodiscard]] rules::Result<config::LoadedConfig> load_configuration(const config::FlagValues& flags);

}  // namespace kubenatd::agent::daemon
