#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "agent/sources/folder_watch.h"

namespace kubenatd::agent::daemon {

/// Tells when the content of a configuration file changes, also when the file is reached through the links of a mounted
/// ConfigMap.
///
/// Threading: one thread. Failure: a place that cannot be watched is in problems(). Cost: a changed file is read once.
class ConfigWatch {
 public:
  [[nodiscard]] static rules::Result<ConfigWatch> open(const std::vector<std::filesystem::path>& files);

  [[nodiscard]] int fd() const { return watch_.fd(); }
  /// Reads what is queued. True when a file has another content than at the last call, or is gone.
  [[nodiscard]] bool changed();
  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }

 private:
  explicit ConfigWatch(sources::FolderWatch watch) : watch_(std::move(watch)) {}
  void follow();

  sources::FolderWatch watch_;
  std::map<std::string, std::string> contents_;
  std::vector<std::string> problems_;
};

}  // namespace kubenatd::agent::daemon
