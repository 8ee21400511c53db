#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/config.h"
#include "agent/config/flag_set.h"
#include "rules/error.h"

/// The command line: kube-proxy's, and kubenatd's own settings.
namespace kubenatd::agent::config {

/// What the flags said. Each text is one that its flag's type can read; whether it is a value that the field may have
/// is not checked yet, but for kubenatd's own settings.
struct FlagValues {
  std::optional<std::filesystem::path> config;            ///< --config; an empty one is none
  std::optional<std::filesystem::path> write_config_to;   ///< --write-config-to: write the configuration and exit
  bool cleanup = false;                                   ///< --cleanup: remove all rules and exit
  bool init_only = false;                                 ///< --init-only: make the kernel's settings and exit
  std::optional<std::string> hostname_override;           ///< --hostname-override
  std::map<std::string, std::vector<std::string>> given;  ///< every other flag, by its name without dashes
  Settings settings;                                      ///< kubenatd's own
  std::set<std::string_view> settings_given;              ///< which of them were given, by Setting::flag
  int verbosity = 0;  ///< how often -v stood without a number; --verbose counts once
};

/// Adds kube-proxy v1.36's flags, and -v. The flags must not outlive `values`. Every command accepts all of them, so
/// that it takes the command line of a running agent; its help tells those that mean something to it.
void register_kube_proxy_flags(FlagSet& flags, Command command, FlagValues& values);

/// Adds kubenatd's own settings in the same way. A value that Setting::set() refuses is a mistake of usage.
void register_settings(FlagSet& flags, Command command, FlagValues& values);

/// Applies the flags to a configuration: that of --config when it was given, else default_config().
///
/// Precedence is kube-proxy's: with --config only --hostname-override, --master and the logging flags count, the others
/// are remarked upon. Without it values are checked by the same code as the file's fields, and a refused one is
/// named by its flag; all mistakes are in one line. What is not given has the file's default; what is given as zero or
/// as an empty text stays so, or is refused, as with kube-proxy. Of kubenatd's own settings those that were given as
/// flags win over the file, a list as a whole. The result is one remark a line: flags that are ignored, deprecated or
/// without effect here. `config` is unchanged on errors.
[[nodiscard]] rules::Result<std::vector<std::string>> apply(const FlagValues& values, Config& config);

}  // namespace kubenatd::agent::config
