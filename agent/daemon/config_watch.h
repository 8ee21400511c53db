#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/sources/look_thread.h"
#include "rules/error.h"

namespace kubenatd::agent::daemon {

/// A file as it was found at a moment.
struct KnownFile {
  std::filesystem::path path;
  std::optional<std::string> content;  ///< none: it could not be read
};

/// To be called before the file is read for use: then a change after that is one, however late the watch opens.
[[nodiscard]] KnownFile know_file(const std::filesystem::path& path);

/// Tells when the content of a configuration file changes, also when the file is reached through the links of a mounted
/// ConfigMap, or changes without inotify's telling.
///
/// Threading: one thread; the files are read by one of its own (LookThread), none when there is no file. Failure: a
/// file that cannot be read has changed when it could be read before. Without inotify changes are found by looks alone,
/// which take_notes() tells. Cost: a look reads each file, which are two small ones.
class ConfigWatch {
 public:
  [[nodiscard]] static rules::Result<ConfigWatch> open(std::vector<KnownFile> files);
  ConfigWatch(ConfigWatch&&) noexcept;
  ConfigWatch& operator=(ConfigWatch&&) noexcept;
  ~ConfigWatch();

  /// Readable while there is something to take; -1: there is no file.
  [[nodiscard]] int fd() const;
  /// True when a file has another content than at the last call (at first: than is known), or is gone.
  [[nodiscard]] bool changed();
  [[nodiscard]] std::vector<std::string> take_notes();

 private:
  class Reader;
  ConfigWatch();

  std::shared_ptr<Reader> reader_;
  std::unique_ptr<sources::LookThread> thread_;
};

}  // namespace kubenatd::agent::daemon
