#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/objects/objects.h"
#include "agent/sources/object_change.h"
#include "agent/sources/topology_hints.h"

namespace kubenatd::agent::sources {

/// Makes the EndpointSlices that a cluster's controllers would make of the objects in folders: of Pods for Services
/// that have a selector and no slices of their own, with the hints that the Service asks for; and of Endpoints for
/// Services without a selector, unless the folders have the mirrored slices, too. Other slices of such a Service count
/// beside them, as in a cluster.
///
/// Threading: none of its own; pure. Failure: none. Cost: a change of a Pod costs the Services whose selector matches
/// it, times the Pods of the namespace; a change of a Node's zone, readiness or CPU all Services that ask for hints.
class EndpointDeriver {
 public:
  /// Takes note of a change of a Service, EndpointSlice, Endpoints, Pod or Node.
  void note(const ObjectChange& change);
  /// Brings the derived slices up to date; returns only those that are different now, deletions first.
  [[nodiscard]] std::vector<objects::ObjectEvent> derive();
  /// What could not be derived as asked for, one line for each Service or Endpoints, told again only when it is
  /// something else ("Service demo/web: trafficDistribution: WHY").
  [[nodiscard]] std::vector<std::string> take_remarks() { return std::exchange(remarks_, {}); }

 private:
  struct OwnSlice {
    std::string service;
    bool is_mirrored = false;
  };
  struct OwnSlices {
    std::size_t all = 0;
    std::size_t mirrored = 0;
  };
  struct Namespace {
    std::map<std::string, objects::ObjectPtr, std::less<>> services;  ///< only those that may get endpoints
    std::set<std::string, std::less<>> hinted;                        ///< those of them that ask for hints
    std::map<std::string, objects::ObjectPtr, std::less<>> pods;
    std::map<std::string, objects::ObjectPtr, std::less<>> endpoints;
    std::map<std::string, OwnSlice, std::less<>> slices;
    std::map<std::string, OwnSlices, std::less<>> slice_counts;                       ///< Service -> slices of its own
    std::map<std::string, std::vector<objects::EndpointSlice>, std::less<>> derived;  ///< Service -> slices, by name
    std::map<std::string, std::string, std::less<>> told;                             ///< Service -> the last remark

    std::set<std::string, std::less<>> dirty_services;
    std::vector<objects::ObjectPtr> changed_pods;  ///< as they were and as they are
    [[nodiscard]] bool empty() const {
      return services.empty() && pods.empty() && endpoints.empty() && slices.empty() && derived.empty();
    }
  };
  class PodIndex;
  struct Outcome {
    std::vector<objects::EndpointSlice> slices;
    std::string remark;
  };

  static void note_service(Namespace& ns, const ObjectChange& change);
  static void note_slice(Namespace& ns, const ObjectChange& change);
  static void note_endpoints(Namespace& ns, const ObjectChange& change);
  static void note_pod(Namespace& ns, const ObjectChange& change);
  void note_node(const ObjectChange& change);
  static void find_services_of_changed_pods(Namespace& ns);
  void derive_namespace(Namespace& ns, std::vector<objects::ObjectEvent>& events);
  [[nodiscard]] Outcome derive_service(const Namespace& ns, const std::string& name,
                                       const std::optional<PodIndex>& index) const;
  [[nodiscard]] Outcome of_pods(const Namespace& ns, const objects::Service& service,
                                const std::optional<PodIndex>& index) const;
  static Outcome of_endpoints(const objects::Endpoints& endpoints);

  ClusterNodes nodes_;
  std::map<std::string, Namespace, std::less<>> namespaces_;
  std::set<std::string, std::less<>> dirty_;
  std::vector<std::string> remarks_;
};

}  // namespace kubenatd::agent::sources
