#include "agent/daemon/config_watch.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "agent/base/descriptor.h"
#include "agent/base/file.h"
#include "agent/base/thread_annotations.h"
#include "agent/sources/folder_watch.h"
#include "agent/sources/manifest_file.h"

namespace kubenatd::agent::daemon {
namespace {

/// What FolderWatch is to name in its answer.
constexpr const char* kOwner = "configuration";
constexpr std::size_t kLongestFile = std::size_t{4} << 20;

/// None: it cannot be read.
std::optional<std::string> content_of(const std::filesystem::path& file) {
  auto text = base::read_file(file, kLongestFile, "read");
  if (!text) return std::nullopt;
  return std::move(*text);
}

}  // namespace

/// What the thread works on.
///
/// Threading: all but take() and fd_ready() belong to the thread. Failure: none. Cost: an eventfd.
class ConfigWatch::Reader final : public sources::LookThread::Followed {
 public:
  Reader(std::vector<KnownFile> files, base::Descriptor ready) : ready_(std::move(ready)), watch_(true) {
    for (KnownFile& file : files)
      files_.insert_or_assign(std::filesystem::absolute(file.path),
                              File{.content = std::move(file.content), .seen = {}});
  }

  [[nodiscard]] int fd() const override { return watch_.fd(); }
  void start() override {
    follow();
    read_all();
  }
  void notified() override {
    const sources::FolderWatch::Changes changes = watch_.take();
    if (changes.files.empty() && changes.folders.empty() && !changes.all) return;
    follow();
    read_all();
  }
  void look(bool everything) override {
    const bool had_notifications = watch_.able();
    watch_.again();
    if (!had_notifications && watch_.able()) follow();
    unsettled_ = false;
    for (auto& [path, file] : files_) {
      auto now = content_of(path);
      if (everything) {
        take(file, std::move(now));
      } else {
        unsettled_ = unsettled_ || now != file.content;
        file.seen = std::move(now);
      }
    }
    give_notes();
  }
  [[nodiscard]] bool unsettled() const override { return unsettled_; }
  void settle() override {
    unsettled_ = false;
    for (auto& [path, file] : files_) {
      auto now = content_of(path);
      if (now == file.content) continue;
      if (now == file.seen) {
        take(file, std::move(now));
      } else {
        file.seen = std::move(now);
        unsettled_ = true;
      }
    }
  }

  [[nodiscard]] int fd_ready() const { return ready_.get(); }
  [[nodiscard]] bool take_changed() KUBENATD_EXCLUDES(mutex_) {
    const base::MutexLock lock(mutex_);
    std::uint64_t count = 0;
    (void)!::read(ready_.get(), &count, sizeof count);
    return std::exchange(changed_, false);
  }
  [[nodiscard]] std::vector<std::string> take_notes() KUBENATD_EXCLUDES(mutex_) {
    const base::MutexLock lock(mutex_);
    return std::exchange(notes_, {});
  }

 private:
  struct File {
    std::optional<std::string> content;  ///< none: it cannot be read
    std::optional<std::string> seen;     ///< at the last look; when it is another one, perhaps half written
  };

  void follow() {
    watch_.forget(kOwner, false);
    for (const auto& [path, file] : files_) watch_.watch_way(path, kOwner, true);
    give_notes();
  }
  void read_all() {
    for (auto& [path, file] : files_) take(file, content_of(path));
  }
  void take(File& file, std::optional<std::string> content) KUBENATD_EXCLUDES(mutex_) {
    if (content == file.content) return;
    file.content = std::move(content);
    const base::MutexLock lock(mutex_);
    changed_ = true;
    wake();
  }
  void give_notes() KUBENATD_EXCLUDES(mutex_) {
    auto note = watch_.take_note();
    if (!note) return;
    const base::MutexLock lock(mutex_);
    notes_.push_back(std::move(*note));
    wake();
  }
  void wake() const {
    const std::uint64_t one = 1;
    (void)!::write(ready_.get(), &one, sizeof one);
  }

  const base::Descriptor ready_;
  sources::FolderWatch watch_;
  std::map<std::string, File> files_;
  bool unsettled_ = false;
  base::Mutex mutex_;
  bool changed_ KUBENATD_GUARDED_BY(mutex_) = false;
  std::vector<std::string> notes_ KUBENATD_GUARDED_BY(mutex_);
};

ConfigWatch::ConfigWatch() = default;
ConfigWatch::ConfigWatch(ConfigWatch&&) noexcept = default;
ConfigWatch& ConfigWatch::operator=(ConfigWatch&&) noexcept = default;
ConfigWatch::~ConfigWatch() = default;

KnownFile know_file(const std::filesystem::path& path) {
  return {path, content_of(path)};
}

rules::Result<ConfigWatch> ConfigWatch::open(std::vector<KnownFile> files) {
  ConfigWatch watch;
  if (files.empty()) return watch;
  base::Descriptor ready(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!ready) return rules::fail("configuration", "make an eventfd", std::strerror(errno), errno);
  watch.reader_ = std::make_shared<Reader>(std::move(files), std::move(ready));
  watch.thread_ = std::make_unique<sources::LookThread>(watch.reader_);
  return watch;
}

int ConfigWatch::fd() const {
  return reader_ ? reader_->fd_ready() : -1;
}

bool ConfigWatch::changed() {
  return reader_ && reader_->take_changed();
}

std::vector<std::string> ConfigWatch::take_notes() {
  return reader_ ? reader_->take_notes() : std::vector<std::string>();
}

}  // namespace kubenatd::agent::daemon
