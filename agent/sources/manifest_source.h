#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/objects/objects.h"
#include "agent/objects/passed_over.h"
#include "rules/error.h"

namespace kubenatd::agent::sources {

/// What one round of reading brought.
struct SourceUpdate {
  std::vector<objects::ObjectEvent> events;  ///< in an order that may be applied one by one
  std::vector<std::string> remarks;          ///< one line each: an object was taken, with something left out or doubled
  std::vector<std::string> problems;         ///< one line each: file, object, field; the object or file was left out
  std::vector<std::string> passed_over;      ///< one line each: documents of kinds that are not used
  std::vector<objects::PassedOver> left_out;  ///< the same, by object
  std::vector<std::string> notes;             ///< one line each: about noticing changes, see FolderWatch::take_note()
  std::optional<std::size_t> read_again;      ///< by look(kContents): so many files

  [[nodiscard]] bool empty() const;
  /// Puts a later one behind this.
  void append(SourceUpdate&& later);
};

/// Objects from folders of manifests (*.yaml, *.yml, *.json, below the folder at any depth).
///
/// When a Service has a selector and the folders have no EndpointSlice for it, its endpoints are derived from the
/// folders' Pods, as the EndpointSlice controller would make them, and appear as EndpointSlice events. When two
/// documents give the same object, the later file counts (by path, then by place in the file) and a problem line says
/// so; when that one goes, the other is back.
///
/// What is gone and what is kept: a file or folder that is not there any more gives nothing; that is so for ENOENT,
/// ENOTDIR and ELOOP, also after an unmount. A folder that is missing from the start is waited for: a mount may be
/// late, and what a run before has written must not go for it. What is there and cannot be read (EACCES; EIO, ESTALE,
/// ETIMEDOUT of a file server that is away) keeps what it gave, because nothing is known about it; it is tried again at
/// each look, and complete() is false as long as that is so for a whole folder from the start. A file that cannot be
/// parsed keeps what it gave, too, because a half-written file must not take services away; of a file with a document
/// that cannot be read, the other documents count, and objects that it gave before and that are not in them stay.
///
/// How changes are noticed: by inotify at once, and by look() in any case. After a look in which nothing is unsettled
/// the objects are those that a fresh load would give. A file that a look finds changed, and of which inotify has told
/// nothing, is read when it is the same a little later (settle()), because it may be half written.
///
/// Threading: one thread; it may have to wait for the file system. Failure: without inotify only looks notice changes.
/// Cost: a change reads only the files that changed. A queue overflow reads everything again. A look opens each folder
/// and stats each file; it reads only what has another FileSignature, and once more what was read shortly after it was
/// written, for file systems whose clock is too coarse to tell two writes.
class ManifestSource {
 public:
  enum class Follow : std::uint8_t {
    kNo,   ///< load() is all; there is no inotify instance, and a folder that cannot be opened is an error
    kYes,  ///< never an error
  };
  [[nodiscard]] static rules::Result<ManifestSource> open(const std::vector<std::filesystem::path>& folders,
                                                          Follow follow = Follow::kNo);
  ManifestSource(ManifestSource&&) noexcept;
  ManifestSource& operator=(ManifestSource&&) noexcept;
  ~ManifestSource();

  /// Everything there is now; called once, before the others.
  [[nodiscard]] SourceUpdate load();
  /// The inotify descriptor; -1: there is none, at present.
  [[nodiscard]] int fd() const;
  /// What inotify told since the last call.
  [[nodiscard]] SourceUpdate poll();

  enum class Depth : std::uint8_t {
    kSignatures,
    kContents,  ///< reads all files again, at once, and tells again what is wrong with them
  };
  /// Looks through all folders.
  [[nodiscard]] SourceUpdate look(Depth depth);
  /// There are files that changed and may be half written.
  [[nodiscard]] bool unsettled() const;
  /// Looks at those, and reads what is as it was at the last look.
  [[nodiscard]] SourceUpdate settle();

  /// Every folder was read once.
  [[nodiscard]] bool complete() const;

 private:
  struct Impl;
  explicit ManifestSource(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kubenatd::agent::sources
