#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/api/access.h"
#include "agent/api/credentials.h"
#include "agent/api/encoding.h"
#include "agent/api/event_queue.h"
#include "agent/api/resource_watch.h"
#include "agent/api/timing.h"
#include "rules/error.h"

namespace kubenatd::agent::api {

struct ApiOptions {
  ClusterAccess access;
  std::string node_name;
  bool services = true;
  bool endpoint_slices = true;
  bool node = true;  ///< this node's own Node object
  bool service_cidrs = true;
  bool pods = false;      ///< Pods of this node
  bool all_pods = false;  ///< with `pods`: Pods of every node
  /// Ingresses, IngressClasses, and those of Gateway API; where the role does not allow it, they are not waited for.
  bool ingresses = false;
  Encoding encoding = Encoding::kProtobuf;  ///< where the server has it
  bool pods_optional = false;               ///< where the role does not allow it, Pods are not waited for
  ApiTiming timing;
};

/// Objects from an API server.
///
/// Purpose: the counterpart of ManifestSource in a cluster. Its selectors are those of kube-proxy v1.36. Threading:
/// fd() and take() are called on one thread; each resource has a thread of its own that watches it. Failure: open()
/// fails when credentials cannot be read. When the server cannot be reached, updates say so, the request is repeated
/// until it succeeds, and all that is known stays. The destructor ends within a fraction of a second. Cost: a
/// ResourceWatch for each resource.
class ApiSource {
 public:
  [[nodiscard]] static rules::Result<std::unique_ptr<ApiSource>> open(const ApiOptions& options);
  ~ApiSource();
  ApiSource(const ApiSource&) = delete;
  ApiSource& operator=(const ApiSource&) = delete;

  /// An eventfd: readable while there is something to take.
  [[nodiscard]] int fd() const { return queue_->fd(); }
  /// Never blocks.
  [[nodiscard]] ApiUpdate take() { return queue_->take(); }

 private:
  explicit ApiSource(ApiTiming timing) : timing_(timing) {}

  const ApiTiming timing_;
  std::unique_ptr<EventQueue> queue_;
  std::vector<std::unique_ptr<ResourceWatch>> watches_;
  std::vector<std::jthread> threads_;
};

/// What is watched, in the order of an update's states.
[[nodiscard]] std::vector<WatchedResource> watched_resources(const ApiOptions& options);

/// "services: watching, 120 objects", "nodes: waiting: the API server answers 403: ..."
[[nodiscard]] std::string describe(const WatchState& state);

}  // namespace kubenatd::agent::api
