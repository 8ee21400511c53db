#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/objects/objects.h"

namespace kubenatd::agent::state {

/// Whether the objects know this node by the name that it goes by here. A node with another name (the short one of the
/// host, say) has no hostPorts and nothing for traffic policy Local, and nothing else tells of it.
///
/// Purpose: says when no Node, Pod or endpoint has the name although some name other nodes, and when that ends. What
/// endpoints once named counts for good; Nodes and Pods count while they are there.
/// Threading: one thread. Failure: none. Cost: that of the event.
class NodeNames {
 public:
  explicit NodeNames(std::string own) : own_(std::move(own)) {}

  void apply(const objects::ObjectEvent& event);

  struct Change {
    bool unknown = false;             ///< the name is nobody's now; else it is somebody's again
    std::vector<std::string> others;  ///< when it is unknown: a few names that objects have
  };
  /// What is different since the last call.
  [[nodiscard]] std::optional<Change> take_change();

 private:
  [[nodiscard]] bool is_known() const;
  [[nodiscard]] std::vector<std::string> others() const;

  std::string own_;
  std::set<std::string> nodes_;
  std::map<objects::ObjectKey, std::string> pods_;  ///< -> node
  std::set<std::string> endpoint_nodes_;            ///< a few that endpoints named, without this one
  bool endpoint_here_ = false;
  bool unknown_ = false;
};

}  // namespace kubenatd::agent::state
