#include "agent/sources/manifest_source.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "agent/base/memory.h"
#include "agent/base/printable.h"
#include "agent/sources/endpoint_deriver.h"
#include "agent/sources/folder_listing.h"
#include "agent/sources/folder_watch.h"
#include "agent/sources/manifest_file.h"
#include "agent/sources/object_store.h"

namespace kubenatd::agent::sources {
namespace {

constexpr std::size_t kLongestPath = 4096;

struct FileState {
  FileSignature signature;
  TextDigest digest{};
  std::string failure;  ///< why it could not be read the last time; empty: it could
  bool loaded = false;  ///< its content was complete once
  bool retry = false;   ///< the failure may end without another signature
  /// Looks until it is read again though its signature is the same; 0: it is not.
  int confirm = 0;
};

/// At the second look after it was read a file is at least one period of looks old, which is more than the coarsest
/// clock of a file system counts in (2 s, FAT).
constexpr int kLooksToConfirm = 2;
/// As far as the clock of a file server may differ from this machine's.
constexpr auto kMostSkew = std::chrono::hours(1);

/// Whether the file was written so lately that another write may have had the same time.
bool is_recent(const FileSignature& signature) {
  const auto now =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch());
  const std::chrono::nanoseconds written(std::max(signature.modified_ns, signature.changed_ns));
  return written > now - kMostSkew;
}

template <class T>
void move_behind(std::vector<T>& to, std::vector<T>&& from) {
  std::move(from.begin(), from.end(), std::back_inserter(to));
}

}  // namespace

bool SourceUpdate::empty() const {
  return events.empty() && remarks.empty() && problems.empty() && passed_over.empty() && left_out.empty() &&
         notes.empty() && !read_again;
}

void SourceUpdate::append(SourceUpdate&& later) {
  move_behind(events, std::move(later.events));
  move_behind(remarks, std::move(later.remarks));
  move_behind(problems, std::move(later.problems));
  move_behind(passed_over, std::move(later.passed_over));
  move_behind(left_out, std::move(later.left_out));
  move_behind(notes, std::move(later.notes));
  if (later.read_again) read_again = later.read_again;
}

struct ManifestSource::Impl {
  /// What a scan does with a file that has another signature, or none yet.
  enum class Reading : std::uint8_t {
    kAtOnce,
    kSettled,  ///< read it when it is as it was at the look before
    kAll,      ///< read it whatever its signature, and parse it whatever its content
  };

  explicit Impl(Follow follow)
      : watch(follow == Follow::kYes),
        lister(watch, [this](const std::string& path, std::string_view what) { tell(path, what); }) {}

  void choose_roots();
  void tell_missing(const Listing& listing);
  void scan(const std::string& folder);
  void scan_all(Reading reading);
  void sweep(std::map<std::string, FileState>::iterator from, const std::string& below, const Listing& listing);
  void take_files(const Listing& listing, Reading reading);
  void read(const std::string& path, bool parse_again = false);
  void parse(const std::string& path, std::string text, FileState& state);
  void remove(const std::string& path);
  SourceUpdate finish();

  [[nodiscard]] bool is_root(const std::string& folder) const {
    return std::find(roots.begin(), roots.end(), folder) != roots.end();
  }
  void problem(const std::string& path, std::string_view what) {
    update.problems.push_back(fmt::format("{}: {}", base::one_line(path, kLongestPath), what));
  }
  /// A problem of a folder, or of an entry that cannot be looked at: once, as long as it is the same.
  void tell(const std::string& path, std::string_view what) {
    standing.insert(path);
    std::string& before = told[path];
    if (before != what) problem(path, before = what);
  }

  std::vector<std::string> given;  ///< as the caller named them
  std::vector<std::string> roots;  ///< of those the ones that lie in no other
  FolderWatch watch;
  FolderLister lister;
  std::map<std::string, FileState> files;
  std::map<std::string, FileSignature> changing;  ///< changed, and perhaps half written
  std::set<std::string> folders;
  std::set<std::string> unread_roots;       ///< never read yet
  std::map<std::string, std::string> told;  ///< see tell()
  std::set<std::string> standing;           ///< of those: seen by the look that runs
  ObjectStore store;
  EndpointDeriver deriver;
  SourceUpdate update;         ///< being made
  std::size_t bytes_read = 0;  ///< for it
  std::size_t files_read = 0;
  std::set<std::string> just_read;
};

rules::Result<ManifestSource> ManifestSource::open(const std::vector<std::filesystem::path>& folders, Follow follow) {
  auto impl = std::make_unique<Impl>(follow);
  for (const std::filesystem::path& folder : folders) {
    std::string path = folder.lexically_normal().string();
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    if (follow == Follow::kNo) {
      std::error_code failure;
      (void)std::filesystem::directory_iterator(path, failure);
      if (failure)
        return rules::fail(base::one_line(path, kLongestPath), "open folder", failure.message(), failure.value());
    }
    impl->unread_roots.insert(path);
    impl->given.push_back(std::move(path));
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

bool ManifestSource::complete() const {
  return impl_->unread_roots.empty();
}

bool ManifestSource::unsettled() const {
  return !impl_->changing.empty();
}

SourceUpdate ManifestSource::load() {
  impl_->scan_all(Impl::Reading::kAtOnce);
  SourceUpdate update = impl_->finish();
  base::give_back_heap();  // texts and JSON trees are many times the size of what is kept
  return update;
}

SourceUpdate ManifestSource::poll() {
  const FolderWatch::Changes changes = impl_->watch.take();
  if (changes.all) {
    for (auto& [path, state] : impl_->files) state.signature = {};
    impl_->lister.invalidate_all();
    impl_->scan_all(Impl::Reading::kAtOnce);
  }
  for (const std::string& folder : changes.folders) impl_->lister.invalidate(folder);
  const std::string* scanned = nullptr;  // sorted: what is below a folder comes after it
  for (const std::string& folder : changes.folders) {
    if (scanned != nullptr && is_below(folder, *scanned)) continue;
    impl_->scan(folder);
    scanned = &folder;
  }
  // A scan tells changed files by their signature, which is too coarse for two writes within a clock tick: what was
  // notified is read in any case.
  for (const std::string& file : changes.files) {
    const std::string folder = file.substr(0, std::max<std::size_t>(file.rfind('/'), 1));
    if (!impl_->just_read.contains(file) && impl_->folders.contains(folder)) impl_->read(file);
  }
  return impl_->finish();
}

SourceUpdate ManifestSource::look(Depth depth) {
  Impl& impl = *impl_;
  impl.watch.again();
  impl.files_read = 0;
  if (depth == Depth::kContents) {
    impl.told.clear();
    impl.scan_all(Impl::Reading::kAll);
    impl.update.read_again = impl.files_read;
    return impl.finish();
  }
  for (auto& [path, state] : impl.files)
    if (state.confirm > 0) --state.confirm;
  impl.scan_all(Impl::Reading::kSettled);
  return impl.finish();
}

SourceUpdate ManifestSource::settle() {
  // Copied: reading changes it.
  for (const auto& [path, before] : std::map(impl_->changing)) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) {
      impl_->changing.erase(path);  // the next look finds out
    } else if (const FileSignature now = FileSignature::of(info); now == before) {
      impl_->read(path);
    } else {
      impl_->changing[path] = now;
    }
  }
  return impl_->finish();
}

/// A folder that is given twice, or is inside another one, would only give every object twice. Which one that is may
/// change: folders may be links, and may be missing.
void ManifestSource::Impl::choose_roots() {
  std::vector<std::pair<std::string, std::string>> chosen;  // what it leads to, and its name
  for (const std::string& path : given) {
    std::error_code failure;
    std::string real = std::filesystem::canonical(path, failure).string();
    if (failure) real = path;
    if (std::any_of(chosen.begin(), chosen.end(),
                    [&](const auto& other) { return real == other.first || is_below(real, other.first); }))
      continue;
    std::erase_if(chosen, [&](const auto& other) { return is_below(other.first, real); });
    chosen.emplace_back(std::move(real), path);
  }
  const std::vector<std::string> before = std::exchange(roots, {});
  for (auto& [real, path] : chosen) roots.push_back(path);
  for (const std::string& path : before)
    if (!is_root(path)) lister.forget(path, false);
}

void ManifestSource::Impl::sweep(std::map<std::string, FileState>::iterator from, const std::string& below,
                                 const Listing& listing) {
  std::vector<std::string> gone;
  for (auto file = from; file != files.end() && file->first.starts_with(below); ++file)
    if ((below.empty() || is_below(file->first, below)) && !listing.files.contains(file->first) &&
        listing.knows(file->first))
      gone.push_back(file->first);
  for (const std::string& path : gone) remove(path);

  for (auto known = folders.lower_bound(below); known != folders.end() && known->starts_with(below);) {
    const bool here = below.empty() || *known == below || is_below(*known, below);
    if (!here || listing.folders.contains(*known) || !listing.knows(*known)) {
      ++known;
      continue;
    }
    lister.forget(*known, is_root(*known));
    known = folders.erase(known);
  }
  folders.insert(listing.folders.begin(), listing.folders.end());

  for (auto one = told.lower_bound(below); one != told.end() && one->first.starts_with(below);) {
    const bool here = below.empty() || one->first == below || is_below(one->first, below);
    one = here && !standing.contains(one->first) ? told.erase(one) : std::next(one);
  }
  standing.clear();
}

void ManifestSource::Impl::tell_missing(const Listing& listing) {
  for (const std::string& root : listing.missing)
    if (is_root(root))
      tell(root, unread_roots.contains(root) ? "the folder is not there: nothing is written before it comes"
                                             : "the folder is not there, and gives nothing");
}

void ManifestSource::Impl::scan(const std::string& folder) {
  const auto root = std::find_if(roots.begin(), roots.end(),
                                 [&](const std::string& one) { return folder == one || is_below(folder, one); });
  if (root == roots.end()) return;
  Listing listing;
  lister.list(folder, *root, listing);
  tell_missing(listing);
  if (listing.knows(folder) && !listing.missing.contains(folder)) unread_roots.erase(folder);
  sweep(files.lower_bound(folder), folder, listing);
  take_files(listing, Reading::kAtOnce);
}

void ManifestSource::Impl::scan_all(Reading reading) {
  choose_roots();
  Listing listing;
  for (const std::string& root : roots) lister.list(root, root, listing);
  tell_missing(listing);
  std::erase_if(unread_roots, [&](const std::string& root) {
    const bool is_unknown = std::find(listing.unknown.begin(), listing.unknown.end(), root) != listing.unknown.end();
    return !is_root(root) || !(is_unknown || listing.missing.contains(root));
  });
  sweep(files.begin(), {}, listing);
  std::erase_if(changing, [&](const auto& one) { return !listing.files.contains(one.first); });
  take_files(listing, reading);
}

void ManifestSource::Impl::take_files(const Listing& listing, Reading reading) {
  for (const auto& [path, signature] : listing.files) {
    if (reading == Reading::kAll) {
      read(path, true);
      continue;
    }
    const auto known = files.find(path);
    if (known != files.end() && known->second.signature == signature) {
      FileState& state = known->second;
      if (reading == Reading::kSettled && (state.retry || state.confirm == 1)) read(path);
      continue;
    }
    if (reading == Reading::kSettled) {
      const auto [seen, first] = changing.try_emplace(path, signature);
      if (first || std::exchange(seen->second, signature) != signature) continue;
    }
    read(path);
  }
}

void ManifestSource::Impl::read(const std::string& path, bool parse_again) {
  changing.erase(path);
  FileSignature signature;
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) signature = FileSignature::of(info);
  auto text = read_text(path);
  if (!text && (text.error().code == ENOENT || text.error().code == ENOTDIR || text.error().code == ELOOP))
    return remove(path);

  just_read.insert(path);
  ++files_read;
  FileState& state = files[path];
  const bool confirmed = state.confirm == 1 && state.signature == signature;
  state.signature = signature;
  state.confirm = !confirmed && is_recent(signature) ? kLooksToConfirm + 1 : 0;
  if (!text) {
    std::string line = fmt::format("{}{}", text.error().to_string(), state.loaded ? "; what it gave before stays" : "");
    state.retry = text.error().code != EINVAL && text.error().code != EFBIG;  // no regular file, or too large
    if (std::exchange(state.failure, line) == line && !parse_again) return;
    update.problems.push_back(std::move(line));
    update.left_out.push_back({"file " + base::one_line(path, kLongestPath), text.error().cause, {}, {}});
    return;
  }
  state.failure.clear();
  state.retry = false;
  bytes_read += text->size();
  const TextDigest digest = digest_of(*text);
  if (std::exchange(state.digest, digest) == digest && !parse_again) return;
  parse(path, std::move(*text), state);
}

void ManifestSource::Impl::parse(const std::string& path, std::string text, FileState& state) {
  ManifestFile file =
      parse_manifest(path, text, [&](objects::Object&& object) { return store.intern(path, std::move(object)); });
  text.clear();
  text.shrink_to_fit();
  move_behind(update.passed_over, std::move(file.passed_over));
  move_behind(update.remarks, std::move(file.remarks));
  move_behind(update.problems, std::move(file.problems));
  move_behind(update.left_out, std::move(file.left_out));
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
  move_behind(update.events, deriver.derive());
  if (auto note = watch.take_note()) update.notes.push_back(std::move(*note));
  for (std::string& line : deriver.take_remarks()) {
    update.left_out.push_back(objects::passed_over(nlohmann::json(), line));
    update.remarks.push_back(std::move(line));
  }
  constexpr std::size_t kWorthReleasing = 1U << 20;
  if (std::exchange(bytes_read, 0) > kWorthReleasing) base::give_back_heap();
  just_read.clear();
  return std::exchange(update, {});
}

}  // namespace kubenatd::agent::sources
