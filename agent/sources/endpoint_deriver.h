#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/objects/objects.h"
#include "agent/sources/object_change.h"

namespace kubenatd::agent::sources {

/// Makes EndpointSlices from Pods for Services that have a selector and no slices of their own, as the EndpointSlice
/// controller does. There is one slice for each family and each set of port numbers that the target ports have in the
/// pods. The name of a slice ("web~ipv4~8080,9153") contains "~", so it cannot be the name of a real object; it stays
/// the same while the ports do. Derived slices have no zone hints.
///
/// Threading: none of its own; pure. Failure: none. Cost: a change of a Pod costs the Services whose selector matches
/// it, times the Pods of the namespace.
class EndpointDeriver {
 public:
  /// Takes note of a change of a Service, EndpointSlice or Pod; Nodes are ignored.
  void note(const ObjectChange& change);
  /// Brings the derived slices up to date; returns only those that are different now, deletions first.
  [[nodiscard]] std::vector<objects::ObjectEvent> derive();

 private:
  struct Namespace {
    std::map<std::string, objects::ObjectPtr, std::less<>> services;  ///< only those that endpoints are derived for
    std::map<std::string, objects::ObjectPtr, std::less<>> pods;
    std::map<std::string, std::string, std::less<>> slice_services;                   ///< slice -> its Service
    std::map<std::string, std::size_t, std::less<>> slice_counts;                     ///< Service -> slices of its own
    std::map<std::string, std::vector<objects::EndpointSlice>, std::less<>> derived;  ///< Service -> slices, by name

    std::set<std::string, std::less<>> dirty_services;
    std::vector<objects::ObjectPtr> changed_pods;  ///< as they were and as they are
    [[nodiscard]] bool empty() const {
      return services.empty() && pods.empty() && slice_services.empty() && derived.empty();
    }
  };

  void note_service(Namespace& ns, const ObjectChange& change);
  void note_slice(Namespace& ns, const ObjectChange& change);
  void note_pod(Namespace& ns, const ObjectChange& change);
  static void find_services_of_changed_pods(Namespace& ns);
  static void derive_namespace(Namespace& ns, std::vector<objects::ObjectEvent>& events);

  std::map<std::string, Namespace, std::less<>> namespaces_;
  std::set<std::string, std::less<>> dirty_;
};

}  // namespace kubenatd::agent::sources
