#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/config/config.h"
#include "rules/error.h"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's name
class App;
}

/// kube-proxy's command line.
namespace kubenatd::agent::config {

/// What kube-proxy's flags said, before it is checked.
struct FlagValues {
  std::optional<std::filesystem::path> config;            ///< --config
  std::optional<std::filesystem::path> write_config_to;   ///< --write-config-to: write the configuration and exit
  bool cleanup = false;                                   ///< --cleanup: remove all rules and exit
  bool init_only = false;                                 ///< --init-only: make the kernel's settings and exit
  std::optional<std::string> hostname_override;           ///< --hostname-override
  std::map<std::string, std::vector<std::string>> given;  ///< every other flag, by its name without dashes
};

/// Adds kube-proxy v1.36's flags to `app`, which must not have any of these names (-v among them) and has to be parsed
/// while `values` lives. `--flag value` and `--flag=value` work, for bools `--flag` and `--flag=false`; of a flag that
/// is repeated the last counts, lists are joined.
void register_kube_proxy_flags(CLI::App& app, FlagValues& values);

/// Applies the flags to a configuration: that of --config when it was given, else default_config().
///
/// Precedence is kube-proxy's: with --config only --hostname-override, --master and the logging flags count, the others
/// are remarked upon. Values are checked and defaulted by the same code as the file's fields, and a refused one is
/// named by its flag; all mistakes are in one line. What kubenatd has of its own in `config` stays. The result is one
/// remark a line: flags that are ignored, deprecated or without effect here. `config` is unchanged on errors.
[[nodiscard]] rules::Result<std::vector<std::string>> apply(const FlagValues& values, Config& config);

}  // namespace kubenatd::agent::config
