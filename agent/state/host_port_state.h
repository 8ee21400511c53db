#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/objects/objects.h"
#include "agent/state/frontend_guard.h"
#include "rules/hostport/known_pods.h"
#include "rules/hostport/mapping.h"

namespace kubenatd::agent::state {

/// Which pods of this node have which host ports.
///
/// Purpose: takes pods, gives the mappings of each family. A pod counts while its containers may run: it has an
/// address, does not use the network of the host, and has neither succeeded nor failed. A terminating pod counts until
/// it is gone. When two pods, or two containers of one pod, want the same port, the older pod keeps it. Older is what
/// was created first; when the times are equal or not known, what was known here first.
/// Threading: one thread. Failure: none. Cost: a change of a pod with host ports looks at all of them; other pods cost
/// nothing.
class HostPortState {
 public:
  explicit HostPortState(std::string node_name) : node_name_(std::move(node_name)) {}

  /// Takes an event of a Pod in; others are ignored.
  void apply(const objects::ObjectEvent& event);

  struct Wanted {
    std::array<std::vector<rules::hostport::PodPorts>, 2> pods;  ///< by family
    std::array<rules::hostport::KnownPods, 2> known;             ///< by family: holders, and what is not settled
    std::vector<std::string> remarks;                            ///< one line each: conflicts that are new
  };
  /// What is wanted, when that may have changed since the last call. What the guard refuses is not.
  [[nodiscard]] std::optional<Wanted> take_changes(const FrontendGuard& guard = {});
  /// The guard may answer otherwise.
  void consider_again() { changed_ = changed_ || !pods_.empty(); }

 private:
  struct Known {
    objects::ObjectPtr pod;
    std::uint64_t order = 0;  ///< counts up, in the order in which pods became known
  };

  std::string node_name_;
  std::map<objects::ObjectKey, Known> pods_;  ///< of this node, with host ports; some have no address yet
  std::map<std::string, std::string> conflicts_;
  std::uint64_t next_order_ = 0;
  bool changed_ = false;
};

}  // namespace kubenatd::agent::state
