#pragma once

#include <filesystem>
#include <memory>
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
};

/// Objects from folders of manifests (*.yaml, *.yml, *.json, below the folder at any depth).
///
/// When a Service has a selector and the folders have no EndpointSlice for it, its endpoints are derived from the
/// folders' Pods, as the EndpointSlice controller would make them, and appear as EndpointSlice events. When two
/// documents give the same object, the later file counts (by path, then by place in the file) and a problem line says
/// so; when that one goes, the other is back. A file that cannot be read keeps what it gave before, because a
/// half-written file must not take services away; of a file with a document that cannot be read, the other documents
/// count, and objects that it gave before and that are not in them stay. A file that is removed takes its objects with
/// it.
///
/// Threading: one thread. fd() is an inotify descriptor for epoll; poll() reads what is queued and never blocks.
/// Cost: a change reads only the files that changed. A queue overflow reads everything again.
class ManifestSource {
 public:
  [[nodiscard]] static rules::Result<ManifestSource> open(const std::vector<std::filesystem::path>& folders);
  ManifestSource(ManifestSource&&) noexcept;
  ManifestSource& operator=(ManifestSource&&) noexcept;
  ~ManifestSource();

  /// Everything there is now; called once, before poll().
  [[nodiscard]] SourceUpdate load();
  [[nodiscard]] int fd() const;
  /// What changed since the last call.
  [[nodiscard]] SourceUpdate poll();

 private:
  struct Impl;
  explicit ManifestSource(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kubenatd::agent::sources
