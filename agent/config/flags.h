#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/config.h"
#include "rules/error.h"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's name
class App;
}

/// The command line: kube-proxy's, and kubenatd's own settings.
namespace kubenatd::agent::config {

/// What the flags said. kube-proxy's are not checked yet, kubenatd's own are.
struct FlagValues {
  std::optional<std::filesystem::path> config;            ///< --config
  std::optional<std::filesystem::path> write_config_to;   ///< --write-config-to: write the configuration and exit
  bool cleanup = false;                                   ///< --cleanup: remove all rules and exit
  bool init_only = false;                                 ///< --init-only: make the kernel's settings and exit
  std::optional<std::string> hostname_override;           ///< --hostname-override
  std::map<std::string, std::vector<std::string>> given;  ///< every other flag, by its name without dashes
  Settings settings;                                      ///< kubenatd's own
  std::set<std::string_view> settings_given;              ///< which of them were given, by Setting::flag
  int verbosity = 0;                                      ///< -v of the commands that do not have kube-proxy's
};

/// Adds kube-proxy v1.36's flags to `app`, which must not have any of these names (-v among them) and has to be parsed
/// while `values` lives. `--flag value` and `--flag=value` work, for bools `--flag` and `--flag=false`; of a flag that
/// is repeated the last counts, lists are joined.
void register_kube_proxy_flags(CLI::App& app, FlagValues& values);

/// Adds kubenatd's own settings, as far as `command` has them. The same holds for `app` and `values`. A value that
/// Setting::set() refuses is a mistake of usage.
void register_settings(CLI::App& app, Command command, FlagValues& values);

/// Applies the flags to a configuration: that of --config when it was given, else default_config().
///
/// Precedence is kube-proxy's: with --config only --hostname-override, --master and the logging flags count, the others
/// are remarked upon. Values are checked and defaulted by the same code as the file's fields, and a refused one is
/// named by its flag; all mistakes are in one line. Of kubenatd's own settings those that were given as flags win over
/// the file, a list as a whole. The result is one remark a line: flags that are ignored, deprecated or without effect
/// here. `config` is unchanged on errors.
[[nodiscard]] rules::Result<std::vector<std::string>> apply(const FlagValues& values, Config& config);

}  // namespace kubenatd::agent::config
