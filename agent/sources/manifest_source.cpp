#include "agent/sources/manifest_source.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "agent/base/printable.h"
#include "agent/sources/endpoint_deriver.h"
#include "agent/sources/folder_watch.h"
#include "agent/sources/manifest_file.h"
#include "agent/sources/object_store.h"

namespace kubenatd::agent::sources {
namespace {

constexpr std::size_t kLongestPath = 4096;
constexpr std::size_t kDeepestFolder = 32;
constexpr std::size_t kMostFolders = 10'000;  // below one folder; links can make a maze of any size

struct FileState {
  FileSignature signature;
  bool loaded = false;  ///< its content was complete once
};

/// What a folder holds now, at any depth.
struct Listing {
  std::set<std::string> files;
  std::set<std::string> folders;
  std::vector<std::string> unreadable;  ///< folders whose content is not known
  bool gone = false;                    ///< the folder itself is not there
};

class Directory {
 public:
  explicit Directory(const std::string& path) : directory_(::opendir(path.c_str())) {}
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() {
    if (directory_ != nullptr) ::closedir(directory_);
  }
  explicit operator bool() const { return directory_ != nullptr; }

  /// Names that do not begin with "." (those are kubelet's and editors' own), sorted.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(directory_))
      if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  DIR* directory_;
};

bool is_below(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) && (folder.ends_with('/') || path.substr(folder.size(), 1) == "/");
}

/// Gives the memory of file texts and JSON trees back to the system: they are many times the size of what is kept.
void release_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

}  // namespace

struct ManifestSource::Impl {
  explicit Impl(FolderWatch opened) : watch(std::move(opened)) {}

  void list(const std::string& folder, std::vector<std::pair<dev_t, ino_t>>& ancestors, Listing& listing);
  void list_entry(const std::string& folder, const std::string& name, std::vector<std::pair<dev_t, ino_t>>& ancestors,
                  Listing& listing);
  void scan(const std::string& folder);
  void read(const std::string& path);
  void remove(const std::string& path);
  SourceUpdate finish();

  [[nodiscard]] bool is_root(const std::string& folder) const {
    return std::find(roots.begin(), roots.end(), folder) != roots.end();
  }
  void problem(const std::string& path, std::string_view what) {
    update.problems.push_back(fmt::format("{}: {}", base::one_line(path, kLongestPath), what));
  }

  FolderWatch watch;
  std::vector<std::string> roots;
  std::map<std::string, FileState> files;
  std::set<std::string> folders;
  ObjectStore store;
  EndpointDeriver deriver;
  SourceUpdate update;         ///< being made
  std::size_t bytes_read = 0;  ///< for it
  std::set<std::string> just_read;
};

rules::Result<ManifestSource> ManifestSource::open(const std::vector<std::filesystem::path>& folders) {
  auto watch = FolderWatch::open();
  if (!watch) return std::unexpected(watch.error());
  auto impl = std::make_unique<Impl>(std::move(*watch));
  std::vector<std::string> canonical;
  for (const std::filesystem::path& folder : folders) {
    std::string path = folder.lexically_normal().string();
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    std::error_code failure;
    const std::string real = std::filesystem::canonical(path, failure).string();
    if (failure)
      return rules::fail(base::one_line(path, kLongestPath), "open folder", failure.message(), failure.value());
    if (!Directory(path)) {
      const int code = errno;
      return rules::fail(base::one_line(path, kLongestPath), "open folder", std::strerror(code), code);
    }
    // A folder that is given twice, or is inside another one, would only give every object twice.
    if (std::any_of(canonical.begin(), canonical.end(),
                    [&](const std::string& other) { return real == other || is_below(real, other); }))
      continue;
    for (std::size_t i = canonical.size(); i-- > 0;) {
      if (!is_below(canonical[i], real)) continue;
      canonical.erase(canonical.begin() + static_cast<std::ptrdiff_t>(i));
      impl->roots.erase(impl->roots.begin() + static_cast<std::ptrdiff_t>(i));
    }
    canonical.push_back(real);
    impl->roots.push_back(std::move(path));
  }
  return ManifestSource(std::move(impl));
}

ManifestSource::ManifestSource(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ManifestSource::ManifestSource(ManifestSource&&) noexcept = default;
ManifestSource& ManifestSource::operator=(ManifestSource&&) noexcept = default;
ManifestSource::~ManifestSource() = default;

int ManifestSource::fd() const {
  return impl_->watch.fd();
}

SourceUpdate ManifestSource::load() {
  for (const std::string& root : impl_->roots) impl_->scan(root);
  SourceUpdate update = impl_->finish();
  release_memory();
  return update;
}

SourceUpdate ManifestSource::poll() {
  FolderWatch::Changes changes = impl_->watch.take();
  if (changes.all) {
    for (auto& [path, state] : impl_->files) state.signature = {};
    changes.folders.insert(impl_->roots.begin(), impl_->roots.end());
  }
  const std::string* scanned = nullptr;  // sorted: what is below a folder comes after it
  for (const std::string& folder : changes.folders) {
    if (scanned != nullptr && is_below(folder, *scanned)) continue;
    impl_->scan(folder);
    scanned = &folder;
  }
  // A scan tells changed files by their signature, which is too coarse for two writes within a clock tick: what was
  // notified is read in any case.
  for (const std::string& file : changes.files)
    if (!impl_->just_read.contains(file)) impl_->read(file);
  return impl_->finish();
}

void ManifestSource::Impl::list_entry(const std::string& folder, const std::string& name,
                                      std::vector<std::pair<dev_t, ino_t>>& ancestors, Listing& listing) {
  const std::string path = join_path(folder, name);
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return;
  if (S_ISLNK(info.st_mode)) {
    watch.watch_way(path, folder, is_manifest_name(name), update.problems);
    if (::stat(path.c_str(), &info) != 0) return;  // it may lead somewhere later; its way is watched
  }
  if (S_ISDIR(info.st_mode))
    list(path, ancestors, listing);
  else if (is_manifest_name(name))
    listing.files.insert(path);
}

void ManifestSource::Impl::list(const std::string& folder, std::vector<std::pair<dev_t, ino_t>>& ancestors,
                                Listing& listing) {
  // First the watch, then the look: what changes in between is seen twice, not missed.
  watch.forget(folder, false);
  watch.watch_folder(folder, update.problems);
  if (is_root(folder)) watch.watch_way(folder, folder, false, update.problems);

  struct stat info {};
  const Directory directory(folder);
  if (!directory || ::stat(folder.c_str(), &info) != 0) {
    const int code = errno;
    if (code == ENOENT || code == ENOTDIR) {
      listing.gone = listing.gone || ancestors.empty();
      return;
    }
    problem(folder, fmt::format("open folder: {}; its files keep what they gave", std::strerror(code)));
    listing.unreadable.push_back(folder);
    listing.folders.insert(folder);
    return;
  }
  const std::pair identity{info.st_dev, info.st_ino};
  if (std::find(ancestors.begin(), ancestors.end(), identity) != ancestors.end()) return;  // a link to above
  if (ancestors.size() >= kDeepestFolder || listing.folders.size() >= kMostFolders) {
    problem(folder, "is left out: too deep, or too many folders");
    return;
  }
  listing.folders.insert(folder);
  ancestors.push_back(identity);
  for (const std::string& name : directory.names()) list_entry(folder, name, ancestors, listing);
  ancestors.pop_back();
}

void ManifestSource::Impl::scan(const std::string& folder) {
  Listing listing;
  std::vector<std::pair<dev_t, ino_t>> ancestors;
  list(folder, ancestors, listing);
  if (listing.gone && is_root(folder)) problem(folder, "the folder is gone, and what it gave with it");

  const auto is_known = [&listing](const std::string& path) {
    return std::none_of(listing.unreadable.begin(), listing.unreadable.end(),
                        [&](const std::string& unreadable) { return is_below(path, unreadable); });
  };
  std::vector<std::string> gone;
  for (auto file = files.lower_bound(folder); file != files.end() && file->first.starts_with(folder); ++file)
    if (is_below(file->first, folder) && !listing.files.contains(file->first) && is_known(file->first))
      gone.push_back(file->first);
  for (const std::string& path : gone) remove(path);

  for (auto known = folders.lower_bound(folder); known != folders.end() && known->starts_with(folder);) {
    const bool here = *known == folder || is_below(*known, folder);
    if (!here || listing.folders.contains(*known) || !is_known(*known)) {
      ++known;
      continue;
    }
    // The root's way stays watched: it may come back.
    if (!is_root(*known)) watch.forget(*known, true);
    known = folders.erase(known);
  }
  folders.insert(listing.folders.begin(), listing.folders.end());

  for (const std::string& path : listing.files) {
    const auto known = files.find(path);
    struct stat info {};
    if (known != files.end() && ::stat(path.c_str(), &info) == 0 && known->second.signature == FileSignature::of(info))
      continue;
    read(path);
  }
}

void ManifestSource::Impl::read(const std::string& path) {
  FileSignature signature;
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) signature = FileSignature::of(info);
  auto text = read_text(path);
  if (!text && (text.error().code == ENOENT || text.error().code == ENOTDIR)) return remove(path);

  just_read.insert(path);
  FileState& state = files[path];
  state.signature = signature;
  const std::string_view kept = state.loaded ? "; what it gave before stays" : "";
  if (!text) {
    update.problems.push_back(fmt::format("{}{}", text.error().to_string(), kept));
    update.left_out.push_back({"file " + base::one_line(path, kLongestPath), text.error().cause, {}, {}});
    return;
  }
  bytes_read += text->size();
  ManifestFile file =
      parse_manifest(path, *text, [&](objects::Object&& object) { return store.intern(path, std::move(object)); });
  text->clear();
  text->shrink_to_fit();
  std::move(file.passed_over.begin(), file.passed_over.end(), std::back_inserter(update.passed_over));
  std::move(file.remarks.begin(), file.remarks.end(), std::back_inserter(update.remarks));
  std::move(file.problems.begin(), file.problems.end(), std::back_inserter(update.problems));
  std::move(file.left_out.begin(), file.left_out.end(), std::back_inserter(update.left_out));
  // What cannot be read now may be an object that could be read before: it must not go away because of that.
  const bool keep_missing = !file.complete && state.loaded;
  if (keep_missing) problem(path, "objects that it gave before and that are not in what can be read of it stay");
  state.loaded = state.loaded || file.complete;
  store.replace(path, std::move(file.objects), keep_missing, update.remarks);
}

void ManifestSource::Impl::remove(const std::string& path) {
  store.remove(path);
  files.erase(path);
}

SourceUpdate ManifestSource::Impl::finish() {
  for (ObjectChange& change : store.take_changes()) {
    deriver.note(change);
    update.events.push_back({change.id.kind, std::move(change.id.key), change.now});
  }
  std::vector<objects::ObjectEvent> derived = deriver.derive();
  std::move(derived.begin(), derived.end(), std::back_inserter(update.events));
  for (std::string& line : deriver.take_remarks()) {
    update.left_out.push_back(objects::passed_over(nlohmann::json(), line));
    update.remarks.push_back(std::move(line));
  }
  constexpr std::size_t kWorthReleasing = 1U << 20;
  if (std::exchange(bytes_read, 0) > kWorthReleasing) release_memory();
  just_read.clear();
  return std::exchange(update, {});
}

}  // namespace kubenatd::agent::sources
