#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/descriptor.h"
#include "rules/error.h"

namespace kubenatd::agent::sources {

/// Tells which manifest files and folders to read again, from inotify.
///
/// It watches folders of manifests, and also the *ways* to what is reached through symbolic links: every directory that
/// holds a link on the way, and the directory of the file itself. So it notices the update of a mounted ConfigMap,
/// which is one rename of the link `..data` that all its files lead through, and a change of a file that a link points
/// to.
///
/// Threading: one thread. Failure: a directory that cannot be watched is a line in `problems`; its changes are not
/// noticed. Cost: one inotify watch a directory.
class FolderWatch {
 public:
  struct Changes {
    std::set<std::string> files;    ///< may have another content, or be gone
    std::set<std::string> folders;  ///< may have other files or sub-folders, or be gone
    bool all = false;               ///< notifications were lost
  };

  [[nodiscard]] static rules::Result<FolderWatch> open();
  [[nodiscard]] int fd() const { return inotify_.get(); }

  /// Watches a folder for changes of its manifests. May be called any number of times.
  void watch_folder(const std::string& folder, std::vector<std::string>& problems);
  /// Forgets the ways that `folder` depends on, and that it is a folder of manifests if `gone`.
  void forget(const std::string& folder, bool gone);
  /// When something on the way to `path` changes, `folder` is read again. With `is_file`, also when the content of the
  /// file at the end of the way changes; then `path` is read again.
  void watch_way(const std::string& path, const std::string& folder, bool is_file, std::vector<std::string>& problems);

  /// Reads what is queued; never blocks. What is beyond a limit stays queued, and fd() stays readable.
  [[nodiscard]] Changes take();

 private:
  struct Way {
    std::string folder;
    std::string file;  ///< empty: none
    auto operator<=>(const Way&) const = default;
  };
  struct Watch {
    std::set<std::string> folders;                           ///< the paths of this directory as a folder of manifests
    std::map<std::string, std::set<Way>, std::less<>> ways;  ///< by name of the entry in this directory
  };

  explicit FolderWatch(base::Descriptor inotify) : inotify_(std::move(inotify)) {}
  [[nodiscard]] int add(const std::string& directory, std::uint32_t mask, std::vector<std::string>& problems);
  void add_way(const std::string& directory, std::string_view name, const Way& way, std::vector<std::string>& problems);
  void drop_if_unused(int descriptor);
  void handle(int descriptor, std::uint32_t mask, std::string_view name, Changes& changes);
  static void handle_entry(const std::string& folder, std::uint32_t mask, std::string_view name, Changes& changes);

  base::Descriptor inotify_;
  std::map<int, Watch> watches_;
  std::map<std::string, std::set<int>> watches_of_folder_;  ///< those that know the folder, as such or by a way
};

/// "FOLDER/NAME".
[[nodiscard]] std::string join_path(std::string_view folder, std::string_view name);

}  // namespace kubenatd::agent::sources
