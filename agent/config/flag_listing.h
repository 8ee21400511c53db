#pragma once

#include <map>
#include <string>

#include "agent/config/flags.h"

namespace kubenatd::agent::config {

/// Every flag of `run` with its value on the command line, or else its default, by its name without dashes: what the
/// page /flagz tells. Beside --config most of them are ignored, as kube-proxy ignores them.
[[nodiscard]] std::map<std::string, std::string> list_flags(const FlagValues& values);

}  // namespace kubenatd::agent::config
