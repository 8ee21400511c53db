#pragma once

#include <string>
#include <vector>

#include "agent/base/secrets.h"
#include "agent/config/flags.h"

namespace kubenatd::agent::report {

/// The secrets that a command with these flags may meet: of the kubeconfigs and the files that they name, the pod's
/// service account, addresses with a password in flags and environment, variables that are named like a secret.
///
/// Failure: what cannot be read gives none; of a kubeconfig that cannot be understood every word counts as one. Cost:
/// reading these files.
[[nodiscard]] base::Secrets known_secrets(const config::FlagValues& flags);

/// Pure: those in the text of a kubeconfig, and the files that it names, relative ones as they stand.
struct KubeconfigSecrets {
  base::Secrets secrets;
  std::vector<std::string> files;
};
void add_kubeconfig_secrets(const std::string& text, KubeconfigSecrets& found);

}  // namespace kubenatd::agent::report
