#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "agent/base/descriptor.h"

namespace kubenatd::agent::sources {

/// Tells which manifest files and folders to read again, from inotify.
///
/// It watches folders of manifests, and also the *ways* to them and to what is reached through symbolic links: of each
/// component of a path the directory itself (it may be moved or deleted), and the entry in it where that is a link, is
/// missing, or is the end of the path. So it notices the update of a mounted ConfigMap, which is one rename of the link
/// `..data` that all its files lead through, a change of a file that a link points to, and an ancestor that is
/// replaced.
///
/// inotify does not tell everything: what another machine changes on a network file system, what changes below an
/// overlay or by another hard link, a mount over a folder. Whoever uses this looks from time to time, too, and may do
/// so without inotify.
///
/// Threading: one thread. Failure: without an inotify instance, or when watches run out, what is not watched is not
/// told; take_note() says so once, and again() tries again. Cost: one inotify watch a directory.
class FolderWatch {
 public:
  struct Changes {
    std::set<std::string> files;    ///< may have another content, or be gone
    std::set<std::string> folders;  ///< may have other files or sub-folders, or be gone
    bool all = false;               ///< notifications were lost
  };

  /// With `notify` false it has no inotify instance and tells nothing.
  explicit FolderWatch(bool notify);
  /// -1: there is no inotify instance, at present.
  [[nodiscard]] int fd() const { return inotify_.get(); }

  /// Whether a further watch may be had, as far as is known since again().
  [[nodiscard]] bool able() const { return static_cast<bool>(inotify_) && !exhausted_; }
  /// What could not be had before may be tried again.
  void again();
  /// A line when something became different: changes cannot be noticed at once, with the sysctl to raise; or they can.
  [[nodiscard]] std::optional<std::string> take_note();

  /// Watches a folder for changes of its manifests, and no longer what was at this path before. May be called any
  /// number of times.
  void watch_folder(const std::string& folder);
  /// Forgets the ways that `folder` depends on, and that it is a folder of manifests if `gone`.
  void forget(const std::string& folder, bool gone);
  /// When something on the way to `path` changes, `folder` is read again. With `is_file`, also when the content of the
  /// file at the end of the way changes; then `path` is read again.
  void watch_way(const std::string& path, const std::string& folder, bool is_file);
  /// The same for a link in `folder`, whose own way is watched already.
  void watch_link(const std::string& folder, const std::string& name, bool is_file);

  /// Reads what is queued; never blocks. What is beyond a limit stays queued, and fd() stays readable.
  [[nodiscard]] Changes take();

 private:
  struct Way {
    std::string folder;
    std::string file;  ///< empty: none
    auto operator<=>(const Way&) const = default;
  };
  struct Watch {
    std::set<std::string> folders;  ///< the paths of this directory as a folder of manifests
    /// By name of the entry in this directory; those by an empty name lead through it and need only the directory.
    std::map<std::string, std::set<Way>, std::less<>> ways;
  };

  void open();
  [[nodiscard]] int add(const std::string& directory, std::uint32_t mask);
  void add_way(const std::string& directory, std::string_view name, const Way& way);
  void follow(std::string directory, std::deque<std::string> components, const Way& way);
  void drop_if_unused(int descriptor);
  void handle(int descriptor, std::uint32_t mask, std::string_view name, Changes& changes);
  static void handle_entry(const std::string& folder, std::uint32_t mask, std::string_view name, Changes& changes);

  bool notify_;
  base::Descriptor inotify_;
  bool exhausted_ = false;
  std::string trouble_;  ///< why not everything is watched; empty: it is
  std::string told_;
  std::map<int, Watch> watches_;
  std::map<std::string, std::set<int>> watches_of_folder_;  ///< those that know the folder, as such or by a way
};

/// "FOLDER/NAME".
[[nodiscard]] std::string join_path(std::string_view folder, std::string_view name);

}  // namespace kubenatd::agent::sources
