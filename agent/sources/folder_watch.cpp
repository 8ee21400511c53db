#include "agent/sources/folder_watch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <deque>
#include <utility>

#include "agent/sources/manifest_file.h"

namespace kubenatd::agent::sources {
namespace {

constexpr std::uint32_t kEntryEvents = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
constexpr std::uint32_t kContentEvents = IN_CLOSE_WRITE | IN_ATTRIB;
constexpr std::uint32_t kSelfEvents = IN_DELETE_SELF | IN_MOVE_SELF;

std::string read_link(const std::string& path) {
  std::array<char, PATH_MAX> target{};
  const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
  return length > 0 ? std::string(target.data(), static_cast<std::size_t>(length)) : std::string();
}

bool is_link(const std::string& path, bool or_second_name) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return false;
  return S_ISLNK(info.st_mode) || (or_second_name && S_ISREG(info.st_mode) && info.st_nlink > 1);
}

/// EMFILE has two causes, and other advice for each.
std::string_view advice_for_instances() {
  const base::Descriptor one_more(::open("/", O_PATH | O_CLOEXEC));
  return one_more ? " (raise the sysctl fs.inotify.max_user_instances)"
                  : " (the process has no descriptor left: raise its limit, LimitNOFILE or ulimit -n)";
}

/// The components of a path, put before those that are left.
void prepend(std::string_view path, std::deque<std::string>& components) {
  std::deque<std::string> front;
  while (!path.empty()) {
    const auto slash = path.find('/');
    if (const std::string_view part = path.substr(0, slash); !part.empty() && part != ".") front.emplace_back(part);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  components.insert(components.begin(), front.begin(), front.end());
}

}  // namespace

std::string join_path(std::string_view folder, std::string_view name) {
  return fmt::format("{}{}{}", folder, folder.ends_with('/') ? "" : "/", name);
}

FolderWatch::FolderWatch(bool notify) : notify_(notify), inotify_(-1) {
  if (notify_) open();
}

void FolderWatch::open() {
  inotify_ = base::Descriptor(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (inotify_) {
    trouble_.clear();
    return;
  }
  const int code = errno;
  trouble_ = fmt::format("inotify: open an instance: {}{}; until then changes are looked for from time to time",
                         std::strerror(code), code == EMFILE ? advice_for_instances() : "");
}

void FolderWatch::again() {
  if (!notify_) return;
  exhausted_ = false;
  if (!inotify_) {
    open();
  } else {
    trouble_.clear();
  }
}

std::optional<std::string> FolderWatch::take_note() {
  if (trouble_ == told_) return std::nullopt;
  told_ = trouble_;
  return told_.empty() ? "inotify: changes are noticed at once again" : told_;
}

int FolderWatch::add(const std::string& directory, std::uint32_t mask) {
  if (!able()) return -1;
  const int descriptor =
      ::inotify_add_watch(inotify_.get(), directory.c_str(), mask | kSelfEvents | IN_ONLYDIR | IN_MASK_ADD);
  if (descriptor >= 0) return descriptor;
  const int code = errno;
  if (code == ENOSPC || code == ENOMEM) {
    exhausted_ = true;
    trouble_ =
        fmt::format("inotify: watch a directory: {}{}; until then changes are looked for from time to time",
                    std::strerror(code), code == ENOSPC ? " (raise the sysctl fs.inotify.max_user_watches)" : "");
  }
  return -1;  // else it is gone meanwhile, which whoever lists it finds out, or may not be read, which will not change
}

void FolderWatch::watch_folder(const std::string& folder) {
  const int descriptor = add(folder, kEntryEvents | kContentEvents);
  std::set<int>& known = watches_of_folder_[folder];
  for (auto other = known.begin(); other != known.end();) {
    const auto found = watches_.find(*other);
    if (*other == descriptor || (found != watches_.end() && found->second.folders.erase(folder) == 0)) {
      ++other;
      continue;
    }
    const int dropped = *other;
    const bool has_way =
        found != watches_.end() && std::ranges::any_of(found->second.ways, [&](const auto& entry) {
          return std::ranges::any_of(entry.second, [&](const Way& way) { return way.folder == folder; });
        });
    other = has_way ? std::next(other) : known.erase(other);
    drop_if_unused(dropped);
  }
  if (descriptor >= 0) {
    watches_[descriptor].folders.insert(folder);
    known.insert(descriptor);
  }
  if (known.empty()) watches_of_folder_.erase(folder);
}

void FolderWatch::add_way(const std::string& directory, std::string_view name, const Way& way) {
  std::uint32_t mask = 0;
  if (!name.empty()) mask = way.file.empty() ? kEntryEvents : kEntryEvents | kContentEvents;
  const int descriptor = add(directory, mask);
  if (descriptor < 0) return;
  watches_[descriptor].ways[std::string(name)].insert(way);
  watches_of_folder_[way.folder].insert(descriptor);
}

void FolderWatch::watch_way(const std::string& path, const std::string& folder, bool is_file) {
  std::deque<std::string> components;
  prepend(path, components);
  follow(std::string(1, path.starts_with('/') ? '/' : '.'), std::move(components),
         {folder, is_file ? path : std::string()});
}

void FolderWatch::watch_link(const std::string& folder, const std::string& name, bool is_file) {
  follow(folder, {name}, {folder, is_file ? join_path(folder, name) : std::string()});
}

void FolderWatch::follow(std::string directory, std::deque<std::string> components, const Way& way) {
  constexpr int kMostLinks = 40;  // as the kernel follows (MAXSYMLINKS)
  int links = 0;
  while (!components.empty() && able()) {
    const std::string name = std::move(components.front());
    components.pop_front();
    std::string entry = join_path(directory, name);
    struct stat info {};
    const bool there = ::lstat(entry.c_str(), &info) == 0;
    if (name == ".." || (there && S_ISDIR(info.st_mode) && !components.empty())) {
      add_way(directory, {}, way);
      directory = std::move(entry);
      continue;
    }
    add_way(directory, name, way);
    // First the watch, then the look: what it is now is what a later event is about.
    if (::lstat(entry.c_str(), &info) != 0) return;
    if (S_ISLNK(info.st_mode)) {
      if (++links > kMostLinks) return;
      const std::string target = read_link(entry);
      if (target.starts_with('/')) directory.assign(1, '/');
      prepend(target, components);
    } else if (!there) {
      if (++links > kMostLinks) return;
      components.push_front(name);  // it came just now
    } else {
      directory = std::move(entry);
    }
  }
}

void FolderWatch::forget(const std::string& folder, bool gone) {
  const auto known = watches_of_folder_.find(folder);
  if (known == watches_of_folder_.end()) return;
  std::set<int> kept;
  for (const int descriptor : std::exchange(known->second, {})) {
    const auto found = watches_.find(descriptor);
    if (found == watches_.end()) continue;
    Watch& watch = found->second;
    for (auto entry = watch.ways.begin(); entry != watch.ways.end();) {
      std::erase_if(entry->second, [&](const Way& way) { return way.folder == folder; });
      entry = entry->second.empty() ? watch.ways.erase(entry) : std::next(entry);
    }
    if (gone) watch.folders.erase(folder);
    if (watch.folders.contains(folder)) kept.insert(descriptor);
    drop_if_unused(descriptor);
  }
  if (kept.empty())
    watches_of_folder_.erase(known);
  else
    known->second = std::move(kept);
}

void FolderWatch::drop_if_unused(int descriptor) {
  const auto found = watches_.find(descriptor);
  if (found == watches_.end() || !found->second.folders.empty() || !found->second.ways.empty()) return;
  watches_.erase(found);
  (void)::inotify_rm_watch(inotify_.get(), descriptor);  // fails when the directory is gone, which is as well
}

void FolderWatch::handle_entry(const std::string& folder, std::uint32_t mask, std::string_view name, Changes& changes) {
  if ((mask & IN_ISDIR) != 0) {
    if (!name.starts_with('.')) changes.folders.insert(folder);
    return;
  }
  if (name.starts_with('.')) return;  // ".." links have their way; others are never read
  const std::string path = join_path(folder, name);
  // A new link needs a way, or leads to a folder. A new file that is no link is complete only when it is closed,
  // unless it is a further name of one that exists.
  if ((mask & (IN_CREATE | IN_MOVED_TO)) != 0 && is_link(path, (mask & IN_CREATE) != 0)) {
    changes.folders.insert(folder);
    return;
  }
  if (is_manifest_name(name) && (mask & IN_CREATE) == 0) changes.files.insert(path);
}

void FolderWatch::handle(int descriptor, std::uint32_t mask, std::string_view name, Changes& changes) {
  if ((mask & IN_Q_OVERFLOW) != 0) {
    changes.all = true;
    return;
  }
  const auto found = watches_.find(descriptor);
  if (found == watches_.end()) return;
  const Watch& watch = found->second;
  if (name.empty()) {
    // About the directory itself.
    changes.folders.insert(watch.folders.begin(), watch.folders.end());
    for (const auto& [entry, ways] : watch.ways)
      for (const Way& way : ways) changes.folders.insert(way.folder);
    if ((mask & (IN_IGNORED | IN_MOVE_SELF)) != 0) {
      // What is watched now is no longer at the path it was watched for.
      if ((mask & IN_MOVE_SELF) != 0) (void)::inotify_rm_watch(inotify_.get(), descriptor);
      watches_.erase(found);
    }
    return;
  }
  for (const std::string& folder : watch.folders) handle_entry(folder, mask, name, changes);
  if (const auto ways = watch.ways.find(name); ways != watch.ways.end())
    for (const Way& way : ways->second) {
      if (!way.file.empty()) changes.files.insert(way.file);
      if ((mask & kEntryEvents) != 0) changes.folders.insert(way.folder);
    }
}

FolderWatch::Changes FolderWatch::take() {
  Changes changes;
  if (!inotify_) return changes;
  constexpr std::size_t kBufferSize = 64U << 10;
  constexpr int kMostReads = 64;  // a folder that is written without pause must not keep the caller here
  alignas(inotify_event) std::array<char, kBufferSize> buffer;
  for (int reads = 0; reads < kMostReads; ++reads) {
    const ssize_t got = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return changes;
    const auto size = static_cast<std::size_t>(got);
    for (std::size_t at = 0; at + sizeof(inotify_event) <= size;) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const char* name = buffer.data() + at + sizeof event;
      handle(event.wd, event.mask, std::string_view(name, ::strnlen(name, event.len)), changes);
      at += sizeof event + event.len;
    }
  }
  return changes;
}

}  // namespace kubenatd::agent::sources
