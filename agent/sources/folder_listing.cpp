#include "agent/sources/folder_listing.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace kubenatd::agent::sources {
namespace {

constexpr std::size_t kDeepestFolder = 32;
constexpr std::size_t kMostFolders = 10'000;  // below one folder; links can make a maze of any size

class Directory {
 public:
  explicit Directory(const std::string& path) : directory_(::opendir(path.c_str())) {}
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() {
    if (directory_ != nullptr) ::closedir(directory_);
  }
  explicit operator bool() const { return directory_ != nullptr; }
  [[nodiscard]] int fd() const { return ::dirfd(directory_); }

  /// Names that do not begin with "." (those are kubelet's and editors' own), sorted, and errno when the rest cannot be
  /// read.
  [[nodiscard]] std::pair<std::vector<std::string>, int> names() const {
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(directory_)) {
      if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
      errno = 0;
    }
    const int failure = errno;
    std::sort(names.begin(), names.end());
    return {std::move(names), failure};
  }

 private:
  DIR* directory_;
};

/// The path leads nowhere. Any other error (EACCES, EIO, ESTALE of a file server that is away) says nothing about it.
bool is_absent(int code) {
  return code == ENOENT || code == ENOTDIR || code == ELOOP;
}

Identity identity_of(const struct stat& info) {
  return {info.st_dev, info.st_ino};
}

}  // namespace

bool is_below(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) && (folder.ends_with('/') || path.substr(folder.size(), 1) == "/");
}

bool Listing::knows(const std::string& path) const {
  return std::none_of(unknown.begin(), unknown.end(),
                      [&](const std::string& other) { return path == other || is_below(path, other); });
}

void FolderLister::look_at(int directory, const std::string& name, Content& content) {
  struct stat info {};
  if (::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (!is_absent(errno)) content.unknown.emplace_back(name, errno);
    return;
  }
  if (S_ISLNK(info.st_mode)) {
    Identity& target = content.watched.links[name];
    if (::fstatat(directory, name.c_str(), &info, 0) != 0) {
      if (!is_absent(errno)) content.unknown.emplace_back(name, errno);
      return;  // it may lead somewhere later
    }
    target = identity_of(info);
  }
  if (S_ISDIR(info.st_mode) || is_manifest_name(name))
    content.entries.push_back({name, S_ISDIR(info.st_mode), FileSignature::of(info)});
}

FolderLister::Content FolderLister::read(const std::string& folder, bool watching) {
  Content content;
  struct stat info {};
  const Directory directory(folder);
  if (!directory || ::fstat(directory.fd(), &info) != 0) {
    content.failure = errno;
    return content;
  }
  content.watched.folder = identity_of(info);
  auto [names, torn] = directory.names();
  content.torn = torn;
  for (const std::string& name : names) {
    const std::size_t links = content.watched.links.size();
    look_at(directory.fd(), name, content);
    if (!watching || content.watched.links.size() == links) continue;
    // First the watch, then the look: what changes in between is seen twice, not missed.
    watch_.watch_link(folder, name, is_manifest_name(name));
    if (!content.entries.empty() && content.entries.back().name == name) content.entries.pop_back();
    if (!content.unknown.empty() && content.unknown.back().first == name) content.unknown.pop_back();
    content.watched.links.erase(name);
    look_at(directory.fd(), name, content);
  }
  return content;
}

FolderLister::Content FolderLister::read_and_watch(const std::string& folder, bool is_root) {
  const auto known = watched_.find(folder);
  if (known != watched_.end() || !watch_.able()) {
    Content content = read(folder, false);
    if (!watch_.able() || known->second == content.watched) return content;
  }
  watch_.forget(folder, false);
  watch_.watch_folder(folder);
  if (is_root) watch_.watch_way(folder, folder, false);
  Content content = read(folder, true);
  if (watch_.able())
    watched_.insert_or_assign(folder, content.watched);
  else
    watched_.erase(folder);
  return content;
}

void FolderLister::list_below(const std::string& folder, std::vector<Identity>& ancestors, Listing& listing) {
  const Content content = read_and_watch(folder, folder == root_);
  if (content.failure != 0) {
    if (is_absent(content.failure)) {
      if (folder == top_) listing.missing.insert(folder);
      return;
    }
    problem_(folder, fmt::format("open folder: {}; its files keep what they gave", std::strerror(content.failure)));
    listing.unknown.push_back(folder);
    listing.folders.insert(folder);
    return;
  }
  const Identity identity = content.watched.folder;
  if (std::find(ancestors.begin(), ancestors.end(), identity) != ancestors.end()) {  // a link to above
    forget(folder, false);
    return;
  }
  if (ancestors.size() >= kDeepestFolder || ++listed_ > kMostFolders) {
    forget(folder, folder == root_);
    problem_(folder, "is left out: too deep, or too many folders");
    return;
  }
  listing.folders.insert(folder);
  if (content.torn != 0) {
    problem_(folder, fmt::format("read folder: {}; its files keep what they gave", std::strerror(content.torn)));
    listing.unknown.push_back(folder);
  }
  for (const auto& [name, code] : content.unknown) {
    const std::string path = join_path(folder, name);
    problem_(path, fmt::format("stat: {}; what it gave before stays", std::strerror(code)));
    listing.unknown.push_back(path);
  }
  ancestors.push_back(identity);
  for (const Entry& entry : content.entries) {
    std::string path = join_path(folder, entry.name);
    if (entry.is_folder)
      list_below(path, ancestors, listing);
    else
      listing.files.insert_or_assign(std::move(path), entry.signature);
  }
  ancestors.pop_back();
}

void FolderLister::list(const std::string& top, const std::string& root, Listing& listing) {
  top_ = top;
  root_ = root;
  listed_ = 0;
  // A link to a folder above the top is one to above as well.
  std::vector<Identity> ancestors;
  for (std::string above = top; above != root && is_below(above, root);) {
    above.resize(std::max(above.rfind('/'), root.size()));
    struct stat info {};
    if (::stat(above.c_str(), &info) == 0) ancestors.push_back(identity_of(info));
  }
  list_below(top, ancestors, listing);
}

void FolderLister::forget(const std::string& folder, bool is_root) {
  if (is_root) return;
  watch_.forget(folder, true);
  watched_.erase(folder);
}

}  // namespace kubenatd::agent::sources
