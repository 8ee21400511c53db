#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/objects/objects.h"

namespace kubenatd::agent::sources {

/// How much of the cluster's CPU each zone has; none: hints by CPU are not given.
struct CpuShares {
  std::map<std::string, double, std::less<>> by_zone;
  std::string none_because;
};

/// The Nodes as the EndpointSlice controller looks at them (k8s.io/endpointslice v0.36).
///
/// Threading: one thread. Failure: none. Cost: shares() looks at every Node after one has changed.
class ClusterNodes {
 public:
  /// A Node is like this now, or gone. True when hints may be different because of it.
  bool note(const std::string& name, const objects::ObjectPtr& now);

  [[nodiscard]] bool has(std::string_view name) const { return nodes_.contains(name); }
  /// Empty: no such Node, or one without the label.
  [[nodiscard]] std::string_view zone_of(std::string_view name) const;
  /// Only ready Nodes count, and none of the control plane. One of them without a zone or allocatable CPU, and fewer
  /// than two zones, are reasons for no shares at all.
  [[nodiscard]] const CpuShares& shares() const;

 private:
  struct Known {
    std::string zone;
    bool is_ready = false;
    bool is_control = false;
    std::int64_t cpu_nanos = 0;
    bool operator==(const Known&) const = default;
  };
  [[nodiscard]] CpuShares find_shares() const;

  std::map<std::string, Known, std::less<>> nodes_;
  mutable std::optional<CpuShares> shares_;
};

/// Gives the ready endpoints of all slices of a Service the hints that its distribution asks for, for each family by
/// itself. By CPU, the controller hands endpoints of a zone that has too many to one that has too few, in an order of
/// chance, and keeps earlier hints as long as it can. Here the order is that of the names, and the outcome depends on
/// the objects alone, so that all nodes have the same. Returns why some endpoints got no hint; empty: all have theirs.
[[nodiscard]] std::string add_hints(objects::Service::Distribution distribution, const ClusterNodes& nodes,
                                    std::vector<objects::EndpointSlice>& slices);

}  // namespace kubenatd::agent::sources
