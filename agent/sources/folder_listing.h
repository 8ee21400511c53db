#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/sources/folder_watch.h"
#include "agent/sources/manifest_file.h"

namespace kubenatd::agent::sources {

/// Which directory, file or file system a path leads to: device and inode.
using Identity = std::pair<std::uint64_t, std::uint64_t>;

/// What some folders hold now, at any depth.
struct Listing {
  std::map<std::string, FileSignature> files;  ///< with a manifest's name
  std::set<std::string> folders;
  std::vector<std::string>
      unknown;  ///< folders and files that cannot be looked at: what they gave is not known to be gone
  std::set<std::string> missing;  ///< of the folders that were asked for: those that are not there

  /// Whether `path` would be listed if it were there.
  [[nodiscard]] bool knows(const std::string& path) const;
};

/// Lists folders and keeps what is watched equal to what is listed.
///
/// Purpose: a look that finds the directories and links of before makes no system call for their watches. Threading:
/// one thread. Failure: what cannot be looked at is in Listing::unknown, and `problem` is called for it; what is not
/// there is no failure. Cost: an open directory for each folder, one fstatat(2) for each entry with a manifest's name
/// or that is a folder, two for a link.
class FolderLister {
 public:
  using Problem = std::function<void(const std::string& path, std::string_view what)>;

  FolderLister(FolderWatch& watch, Problem problem) : watch_(watch), problem_(std::move(problem)) {}

  /// What is at and below `top`, which is `root` or below it. The way to a root is watched, too.
  void list(const std::string& top, const std::string& root, Listing& listing);
  /// What is watched for the folder is made new at the next list().
  void invalidate(const std::string& folder) { watched_.erase(folder); }
  void invalidate_all() { watched_.clear(); }
  /// The folder is no longer listed. The way to a root stays watched: it may come back.
  void forget(const std::string& folder, bool is_root);

 private:
  /// What the watches of a folder depend on.
  struct Watched {
    Identity folder{};
    std::map<std::string, Identity> links;  ///< where each leads to; zeros: nowhere
    bool operator==(const Watched&) const = default;
  };
  struct Entry {
    std::string name;
    bool is_folder = false;
    FileSignature signature;
  };
  struct Content {
    int failure = 0;  ///< errno: the folder cannot be opened
    Watched watched;
    std::vector<Entry> entries;  ///< sorted
    std::vector<std::pair<std::string, int>> unknown;
    int torn = 0;  ///< errno: it could be read only in part
  };

  [[nodiscard]] Content read(const std::string& folder, bool watching);
  static void look_at(int directory, const std::string& name, Content& content);
  [[nodiscard]] Content read_and_watch(const std::string& folder, bool is_root);
  void list_below(const std::string& folder, std::vector<Identity>& ancestors, Listing& listing);

  FolderWatch& watch_;
  Problem problem_;
  std::map<std::string, Watched> watched_;
  std::string top_, root_;  ///< of the list() that runs
  std::size_t listed_ = 0;  ///< folders, by it
};

/// Whether a path lies below a folder, by its text.
[[nodiscard]] bool is_below(std::string_view path, std::string_view folder);

}  // namespace kubenatd::agent::sources
