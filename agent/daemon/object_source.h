#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "agent/api/access.h"
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
  };

  virtual ~ObjectSource() = default;
  ObjectSource(const ObjectSource&) = delete;
  ObjectSource& operator=(const ObjectSource&) = delete;

  /// Readable while there is something to take.
  [[nodiscard]] virtual int fd() const = 0;
  /// What is new since the last call; never blocks.
  [[nodiscard]] virtual Update take() = 0;
  /// The source has a Node object for this node, and the first sync must wait for it.
  [[nodiscard]] virtual bool knows_node() const = 0;

 protected:
  ObjectSource() = default;
};

[[nodiscard]] rules::Result<std::unique_ptr<ObjectSource>> open_manifests(
    const std::vector<std::filesystem::path>& folders);
/// Whether an API server is asked for this node's Pods. kOptional: where the role does not allow it, nothing waits for
/// them. kNeeded: nothing is synced before they are there. kAll: the Pods of every node, and Ingresses, for `explain`;
/// not waited for either.
enum class WatchPods : std::uint8_t { kNo, kOptional, kNeeded, kAll };
[[nodiscard]] rules::Result<std::unique_ptr<ObjectSource>> open_api(const api::ClusterAccess& access,
                                                                    const std::string& node_name, WatchPods pods);

}  // namespace kubenatd::agent::daemon
