#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/rfc3339.h"
#include "agent/base/thread_annotations.h"
#include "rules/address.h"

namespace kubenatd::agent::serve {

/// A moment on both clocks: periods are measured on the one that nobody sets, answers carry the other.
struct Moment {
  std::chrono::steady_clock::time_point steady;
  base::WallTime wall;

  [[nodiscard]] static Moment now();
};

/// Whether this node's proxying is healthy, as kube-proxy defines it.
///
/// Purpose: a family is unhealthy when a sync has been asked for and none has succeeded for `timeout` (2 x syncPeriod).
/// Starting up and having nothing to do are healthy. Pure but for its lock: callers bring the time. Threading: any
/// thread. Failure: none. Cost: two families.
class HealthState {
 public:
  explicit HealthState(std::chrono::nanoseconds timeout) : timeout_(timeout) {}

  /// A sync is wanted. Only the oldest request that is still unserved counts.
  void queued(rules::Family family, Moment now);
  /// A sync succeeded, or the sync loop of this family has started.
  void updated(rules::Family family, Moment now);
  /// False when the Node is being deleted, has the taint ToBeDeletedByClusterAutoscaler, or is unknown.
  void set_node_eligible(bool eligible);
  /// Names of all objects that the kernel refuses now, and lines about what Services ask for and do not get, for the
  /// page. They make nothing unhealthy: load balancers must
  /// not take a whole node for lost because of one Service.
  void refused(std::vector<std::string> names);

  /// The program that owns the table of a family, so that nothing can be written; empty: none does. It makes nothing
  /// unhealthy by itself: what waits to be written does, in time.
  void held_by(rules::Family family, std::string program);

  /// More names are left out.
  static constexpr std::size_t kMostRefused = 10;

  [[nodiscard]] bool healthy(Moment now) const;

  struct Answer {
    bool good = false;  ///< 200 or 503
    std::string body;
  };
  /// Healthy, and the node is to get traffic. Behind kube-proxy's fields `"refused":[...]` and `"tableOwnedBy":"..."`,
  /// when there is any.
  [[nodiscard]] Answer healthz(Moment now) const;
  /// Healthy; a node that is to get no traffic is no reason to restart anything.
  [[nodiscard]] Answer livez(Moment now) const;

 private:
  struct FamilyHealth {
    std::optional<Moment> updated;
    std::optional<Moment> queued;
    std::string held_by;
  };

  [[nodiscard]] bool healthy(const FamilyHealth& family, Moment now) const;
  [[nodiscard]] bool all_healthy(Moment now) const KUBENATD_REQUIRES(mutex_);
  [[nodiscard]] Answer answer(Moment now, bool with_node) const;

  const std::chrono::nanoseconds timeout_;
  mutable base::Mutex mutex_;
  std::array<FamilyHealth, 2> families_ KUBENATD_GUARDED_BY(mutex_);
  bool node_eligible_ KUBENATD_GUARDED_BY(mutex_) = true;
  std::vector<std::string> refused_ KUBENATD_GUARDED_BY(mutex_);
};

}  // namespace kubenatd::agent::serve
