#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/thread_annotations.h"
#include "agent/daemon/object_source.h"
#include "agent/sources/look_thread.h"
#include "agent/sources/manifest_source.h"
#include "agent/sources/object_change.h"

namespace kubenatd::agent::daemon {
namespace {

using sources::ManifestSource;
using sources::SourceUpdate;

ObjectSource::Update logged(SourceUpdate&& update, bool synced) {
  for (const std::string& line : update.passed_over) base::log_info("passed over", {{"what", line}});
  for (const std::string& line : update.remarks) base::log_warning("taken in part", {{"what", line}});
  for (const std::string& line : update.problems) base::log_warning("left out", {{"what", line}});
  return {.events = std::move(update.events),
          .problems = update.problems.size(),
          .left_out = std::move(update.left_out),
          .synced = synced,
          .states = {},
          .notes = std::move(update.notes)};
}

class Manifests final : public ObjectSource {
 public:
  explicit Manifests(ManifestSource source) : source_(std::move(source)) {}

  [[nodiscard]] int fd() const override { return -1; }
  [[nodiscard]] bool knows_node() const override { return false; }
  [[nodiscard]] Update take() override {
    return logged(std::exchange(loaded_, true) ? SourceUpdate{} : source_.load(), true);
  }

 private:
  ManifestSource source_;
  bool loaded_ = false;
};

/// What the thread works on, and where it puts what it finds.
///
/// Threading: all but take() and fd_ready() belong to the thread. Failure: none. Cost: an eventfd.
class FolderReader final : public sources::LookThread::Followed {
 public:
  FolderReader(ManifestSource source, base::Descriptor ready) : source_(std::move(source)), ready_(std::move(ready)) {}

  [[nodiscard]] int fd() const override { return source_.fd(); }
  void start() override { give(source_.load()); }
  void notified() override { give(source_.poll()); }
  void look(bool everything) override {
    give(source_.look(everything ? ManifestSource::Depth::kContents : ManifestSource::Depth::kSignatures));
  }
  [[nodiscard]] bool unsettled() const override { return source_.unsettled(); }
  void settle() override { give(source_.settle()); }

  [[nodiscard]] int fd_ready() const { return ready_.get(); }
  /// What came since the last call, and whether everything there was at the start is in.
  [[nodiscard]] std::pair<SourceUpdate, bool> take() KUBENATD_EXCLUDES(mutex_) {
    const base::MutexLock lock(mutex_);
    std::uint64_t count = 0;
    (void)!::read(ready_.get(), &count, sizeof count);
    return {std::exchange(found_, {}), complete_};
  }

 private:
  void give(SourceUpdate&& update) KUBENATD_EXCLUDES(mutex_) {
    const base::MutexLock lock(mutex_);
    const bool now_complete = !complete_ && source_.complete();
    if (update.empty() && !now_complete) return;  // a look that found nothing wakes nobody
    complete_ = complete_ || now_complete;
    found_.append(std::move(update));
    const std::uint64_t one = 1;
    (void)!::write(ready_.get(), &one, sizeof one);
  }

  ManifestSource source_;
  const base::Descriptor ready_;
  base::Mutex mutex_;
  SourceUpdate found_ KUBENATD_GUARDED_BY(mutex_);
  bool complete_ KUBENATD_GUARDED_BY(mutex_) = false;
};

class FollowedManifests final : public ObjectSource {
 public:
  FollowedManifests(std::vector<std::filesystem::path> folders, std::shared_ptr<FolderReader> reader)
      : folders_(std::move(folders)), reader_(std::move(reader)), thread_(reader_) {}

  [[nodiscard]] int fd() const override { return reader_->fd_ready(); }
  [[nodiscard]] bool knows_node() const override { return false; }
  [[nodiscard]] bool serves(const std::vector<std::filesystem::path>& folders) const override {
    return folders == folders_;
  }
  void start_over() override { from_start_ = true; }
  void read_again() override { thread_.read_everything(); }
  [[nodiscard]] std::chrono::milliseconds silent_for() const override { return thread_.busy_for(); }

  [[nodiscard]] Update take() override {
    auto [found, complete] = reader_->take();
    if (found.read_again) log_read_again(found);
    for (const objects::ObjectEvent& event : found.events) {
      if (event.object)
        objects_.insert_or_assign({event.kind, event.key}, event.object);
      else
        objects_.erase({event.kind, event.key});
    }
    Update update = logged(std::move(found), complete);
    if (std::exchange(from_start_, false)) {
      update.events.clear();
      for (const auto& [id, object] : objects_) update.events.push_back({id.kind, id.key, object});
    }
    return update;
  }

 private:
  void log_read_again(const SourceUpdate& found) const {
    constexpr std::size_t kMostNamed = 10;
    std::string named;
    std::size_t count = 0;
    for (const objects::ObjectEvent& event : found.events) {
      if (++count > kMostNamed) continue;
      const char* what = "changed";
      if (!event.object)
        what = "gone";
      else if (!objects_.contains({event.kind, event.key}))
        what = "new";
      named += fmt::format("{}{} {} ({})", named.empty() ? "" : ", ", name_of(event.kind), event.key.to_string(), what);
    }
    if (count > kMostNamed) named += fmt::format(", and {} more", count - kMostNamed);
    base::log_info("all files of the folders were read again",
                   {{"files", *found.read_again}, {"changed_objects", count}, {"objects", named}});
  }

  const std::vector<std::filesystem::path> folders_;
  const std::shared_ptr<FolderReader> reader_;
  std::map<sources::ObjectId, objects::ObjectPtr> objects_;  ///< what was given so far, for start_over()
  bool from_start_ = false;
  sources::LookThread thread_;  ///< last: uses the reader
};

}  // namespace

rules::Result<std::unique_ptr<ObjectSource>> open_manifests(const std::vector<std::filesystem::path>& folders) {
  auto source = ManifestSource::open(folders);
  if (!source) return std::unexpected(source.error());
  return std::make_unique<Manifests>(std::move(*source));
}

rules::Result<std::unique_ptr<ObjectSource>> follow_manifests(const std::vector<std::filesystem::path>& folders) {
  auto source = ManifestSource::open(folders, ManifestSource::Follow::kYes);
  if (!source) return std::unexpected(source.error());
  base::Descriptor ready(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!ready) return rules::fail("folders", "make an eventfd", std::strerror(errno), errno);
  return std::make_unique<FollowedManifests>(folders,
                                             std::make_shared<FolderReader>(std::move(*source), std::move(ready)));
}

}  // namespace kubenatd::agent::daemon
