#pragma once

#include "agent/config/config.h"
#include "agent/config/flags.h"

namespace kubenatd::agent {

/// The configuration that a command works with: the file of --config, or kube-proxy's defaults, and its flags over it.
[[nodiscard]] rules::Result<LoadedConfig> load_configuration(const FlagValues& flags);

}  // namespace kubenatd::agent
