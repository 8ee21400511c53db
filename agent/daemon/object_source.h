#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "agent/api/access.h"
#include "agent/api/encoding.h"
#include "agent/api/watch_sink.h"
#include "agent/objects/objects.h"
#include "agent/objects/passed_over.h"
#include "rules/error.h"

namespace kubenatd::agent::daemon {

/// Where a command's objects come from: folders of manifests or an API server. Remarks about objects are logged here,
/// once.
///
/// Threading: one thread. Failure: what fails is logged and tried again; take() always gives what is known.
class ObjectSource {
 public:
  struct Update {
    std::vector<objects::ObjectEvent> events;   ///< may be applied one by one
    std::size_t problems = 0;                   ///< objects or files that were left out
    std::vector<objects::PassedOver> left_out;  ///< and those that were taken in part
    bool synced = false;                        ///< everything there was at the start is in; stays true
    std::vector<api::WatchState> states;        ///< of an API server's resources
    std::vector<std::string> notes;             ///< about noticing changes of files, one line each
  };

  virtual ~ObjectSource() = default;
  ObjectSource(const ObjectSource&) = delete;
  ObjectSource& operator=(const ObjectSource&) = delete;

  /// Readable while there is something to take; -1: take() gives all there is, once.
  [[nodiscard]] virtual int fd() const = 0;
  /// What is new since the last call; never blocks.
  [[nodiscard]] virtual Update take() = 0;
  /// The source has a Node object for this node, and the first sync must wait for it.
  [[nodiscard]] virtual bool knows_node() const = 0;

  /// Whether it goes on with these folders after a reload. It knows more than what can be read now: what a file gave
  /// that is broken at present.
  [[nodiscard]] virtual bool serves(const std::vector<std::filesystem::path>& /*folders*/) const { return false; }
  /// The next take() gives everything that is known, as if it were the first.
  virtual void start_over() {}
  /// Reads everything again, also what does not seem to have changed, and logs what had changed. An API server's
  /// objects are listed again by a new source.
  virtual void read_again() {}
  /// For how long the file system has not answered.
  [[nodiscard]] virtual std::chrono::milliseconds silent_for() const { return {}; }

 protected:
  ObjectSource() = default;
};

/// The objects of folders as they are now. A folder that cannot be opened is an error.
[[nodiscard]] rules::Result<std::unique_ptr<ObjectSource>> open_manifests(
    const std::vector<std::filesystem::path>& folders);
/// The same, followed in a thread of its own, so that a file system that does not answer holds up nobody. It is synced
/// when each folder was read once; one that is missing from the start may come.
[[nodiscard]] rules::Result<std::unique_ptr<ObjectSource>> follow_manifests(
    const std::vector<std::filesystem::path>& folders);
/// Whether an API server is asked for this node's Pods. kOptional: where the role does not allow it, nothing waits for
/// them. kNeeded: nothing is synced before they are there. kAll: the Pods of every node, and Ingresses, for `explain`;
/// not waited for either.
enum class WatchPods : std::uint8_t { kNo, kOptional, kNeeded, kAll };
[[nodiscard]] rules::Result<std::unique_ptr<ObjectSource>> open_api(const api::ClusterAccess& access,
                                                                    api::Encoding encoding,
                                                                    const std::string& node_name, WatchPods pods);

}  // namespace kubenatd::agent::daemon
