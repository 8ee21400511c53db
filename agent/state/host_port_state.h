#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/objects/objects.h"
#include "rules/hostport/mapping.h"

namespace kubenatd::agent::state {

/// Which pods of this node have which host ports.
///
/// Purpose: pods in, mappings of each family out. A pod counts while its containers may run: it has an address, does
/// not use the host's network, and has not succeeded or failed; a terminating one counts until it is gone. Where two
/// pods, or two containers of one, want the same port, the older pod keeps it: the one that was made first, with equal
/// or unknown times the one that was known first.
/// Threading: one thread. Failure: none. Cost: a change of a pod with host ports looks at all of them; other pods cost
/// nothing.
class HostPortState {
 public:
  explicit HostPortState(std::string node_name) : node_name_(std::move(node_name)) {}

  /// Takes an event of a Pod in; others are ignored.
  void apply(const objects::ObjectEvent& event);

  struct Wanted {
    std::array<std::vector<rules::hostport::PodPorts>, 2> pods;  ///< by family
    std::vector<std::string> remarks;                            ///< one line each: conflicts that are new
  };
  /// What is wanted, when that may have changed since the last call.
  [[nodiscard]] std::optional<Wanted> take_changes();

  /// Pods of this node that have host ports.
  [[nodiscard]] std::size_t pods() const { return pods_.size(); }

 private:
  struct Known {
    objects::ObjectPtr pod;
    std::uint64_t order = 0;  ///< of becoming known
  };

  std::string node_name_;
  std::map<objects::ObjectKey, Known> pods_;
  std::map<std::string, std::string> conflicts_;
  std::uint64_t next_order_ = 0;
  bool changed_ = false;
};

}  // namespace kubenatd::agent::state
