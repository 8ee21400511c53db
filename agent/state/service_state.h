#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "agent/base/rfc3339.h"
#include "agent/objects/objects.h"
#include "agent/state/endpoint_choice.h"
#include "agent/state/frontend_guard.h"
#include "agent/state/health_checks.h"
#include "agent/state/left_out.h"
#include "rules/service_port.h"

namespace kubenatd::agent::state {

/// A service port is now like this, or gone.
struct ViewChange {
  rules::Family family = rules::Family::kIpv4;
  std::string name;  ///< service port name string
  rules::Protocol protocol = rules::Protocol::kTcp;
  std::optional<rules::ServicePortView> view;  ///< none: gone
};

/// Endpoints that are used of one service port, and of all ports of one Service together in one family: far more than
/// clusters have (150 000 Pods is what Kubernetes v1.36 is made for), and no more than a node can bear of one Service.
inline constexpr std::size_t kMostEndpointsOfPort = 16'384;
inline constexpr std::size_t kMostEndpointsOfService = 262'144;
/// External and load balancer addresses of one Service in one family, each of the two; and their frontends, one for
/// each of its ports. A load balancer may have an address on every node, of which Kubernetes v1.36 has 5 000.
inline constexpr std::size_t kMostAddressesOfService = 8'192;
inline constexpr std::size_t kMostFrontendsOfService = 16'384;
/// Source ranges times load balancer addresses times ports of one Service in one family.
inline constexpr std::size_t kMostRangesOfService = 262'144;

/// Joins Services, EndpointSlices and this node's Node into service port views.
///
/// Purpose: the one place that knows which objects a service port depends on.
/// Threading: one thread.
/// Failure: none; objects are already checked.
/// Cost: an event costs what the Service it belongs to costs: its ports times its endpoints. Only a change of this
/// node's zone, or of what FrontendGuard keeps for the node or the API server, looks at every Service.
class ServiceState {
 public:
  explicit ServiceState(std::string node_name);

  /// Takes one event in; its consequences come with the next take_changes().
  void apply(objects::ObjectEvent event);

  /// What Services may not take from the node; to be told before the first event, and when it is another.
  void set_guarded(GuardedNode node);
  [[nodiscard]] const FrontendGuard& guard() const { return guard_; }
  /// Whether guard() may answer otherwise since the last call for what is the node's.
  [[nodiscard]] bool take_guard_changed() { return std::exchange(guard_changed_, false); }

  /// What of Services is left out, as of the last take_changes().
  [[nodiscard]] const LeftOutServices& left_out() const { return left_out_; }
  /// Lines about what is left out that were not told before.
  [[nodiscard]] std::vector<std::string> take_remarks() { return left_out_.take_remarks(); }

  /// Views that have changed since the last call, one entry per service port and family.
  [[nodiscard]] std::vector<ViewChange> take_changes();

  /// Health checks that have changed since the last call, as of the last take_changes(). Each is told once, so there is
  /// one taker.
  [[nodiscard]] HealthCheckChanges take_health_checks() { return health_checks_.take_changes(); }

  /// This node's Node object, when a source has it.
  [[nodiscard]] const std::optional<objects::Node>& node() const { return node_; }

  /// Endpoints of all service ports of a family, usable or not: what decides about kube-proxy's large-cluster mode.
  /// Slices without a Service, or with ports that their Service does not have, do not count there (totalEndpoints in
  /// syncProxyRules, v1.36).
  [[nodiscard]] std::size_t known_endpoints(rules::Family family) const {
    return known_endpoints_[static_cast<std::size_t>(family)];
  }

  /// Addresses that Services may have in this family, where the source has ServiceCIDRs; sorted.
  [[nodiscard]] std::vector<rules::Prefix> service_cidrs(rules::Family family) const;

  /// Service ports that traffic of a Local policy reaches no endpoint of on this node, although there are some
  /// elsewhere: kube-proxy's sync_proxy_rules_no_local_endpoints_total.
  struct NoLocalEndpoints {
    std::size_t internal = 0;
    std::size_t external = 0;
    bool operator==(const NoLocalEndpoints&) const = default;
  };
  [[nodiscard]] NoLocalEndpoints no_local_endpoints(rules::Family family) const {
    return no_local_endpoints_[static_cast<std::size_t>(family)];
  }

  /// For people: a Service, and when it or its endpoints changed last, as this process was told.
  using VisitService = std::function<void(const objects::Service& service, base::WallTime changed)>;
  void for_each_service(const VisitService& visit) const;
  /// Addresses of its endpoints, whichever ports they have.
  struct EndpointCounts {
    std::size_t ready = 0;
    std::size_t all = 0;
    bool operator==(const EndpointCounts&) const = default;
  };
  [[nodiscard]] EndpointCounts count_endpoints(const objects::ObjectKey& service, rules::Family family) const;

  [[nodiscard]] std::size_t services() const { return services_; }
  [[nodiscard]] std::size_t endpoint_slices() const { return slices_.size(); }

 private:
  struct PortKey {
    std::string name;
    rules::Protocol protocol;
    auto operator<=>(const PortKey&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const objects::ObjectKey& key) const noexcept {
      return std::hash<std::string>{}(key.ns) * 31 + std::hash<std::string>{}(key.name);
    }
  };
  using SlicePtr = std::shared_ptr<const objects::EndpointSlice>;
  /// By the slices' own keys: another copy of them would be a twentieth of all that is kept of a Service.
  struct SliceHash {
    using is_transparent = void;
    std::size_t operator()(const objects::ObjectKey& key) const noexcept { return KeyHash{}(key); }
    std::size_t operator()(const SlicePtr& slice) const noexcept { return KeyHash{}(slice->key); }
  };
  struct SameSlice {
    using is_transparent = void;
    static const objects::ObjectKey& key(const objects::ObjectKey& key) { return key; }
    static const objects::ObjectKey& key(const SlicePtr& slice) { return slice->key; }
    bool operator()(const auto& one, const auto& other) const { return key(one) == key(other); }
  };
  /// Everything about one Service name; exists while there is a Service or a slice that names it.
  struct Entry {
    std::shared_ptr<const objects::Service> service;
    std::vector<SlicePtr> slices;               ///< sorted by name, so that the outcome does not depend on arrival
    std::array<std::vector<PortKey>, 2> shown;  ///< ports with a view, per family
    std::array<std::size_t, 2> endpoints{};
    std::array<NoLocalEndpoints, 2> no_local_endpoints{};
    base::WallTime changed{};
  };

  void apply_service(objects::ObjectEvent&& event);
  void apply_slice(objects::ObjectEvent&& event);
  void apply_node(objects::ObjectEvent&& event);
  void apply_service_cidr(const objects::ObjectEvent& event);
  void remove_slice(const objects::ObjectKey& slice, const objects::ObjectKey& service);
  void recompute(const objects::ObjectKey& key, Entry& entry, std::vector<ViewChange>& out);
  /// Returns how many endpoints the service ports have.
  std::size_t recompute_family(const objects::ObjectKey& key, Entry& entry, rules::Family family,
                               std::vector<ViewChange>& out, LeftOut& left_out);
  void follow_api_server(const objects::ObjectKey& service, const Entry& entry);
  void change_all();

  Topology topology_;
  std::optional<objects::Node> node_;
  std::map<objects::ObjectKey, std::vector<rules::Prefix>> service_cidrs_;
  std::unordered_map<objects::ObjectKey, Entry, KeyHash> entries_;
  std::unordered_set<SlicePtr, SliceHash, SameSlice> slices_;  ///< those that name a Service
  std::unordered_set<objects::ObjectKey, KeyHash> changed_;
  HealthChecks health_checks_;
  FrontendGuard guard_;
  bool guard_changed_ = false;
  LeftOutServices left_out_;
  std::array<std::size_t, 2> known_endpoints_{};
  std::array<NoLocalEndpoints, 2> no_local_endpoints_{};
  std::size_t services_ = 0;
};

/// "namespace/name" or "namespace/name:port".
[[nodiscard]] std::string service_port_name(const objects::ObjectKey& service, const std::string& port);

/// True for a Service that chains are made for: not headless, not ExternalName, and not left to another proxy. One that
/// has no cluster IP yet is served where something else leads to it. kube-proxy never sees such a Service.
[[nodiscard]] bool is_proxied(const objects::Service& service);

/// The families that a proxied Service may have rules in: those of its cluster IPs, or else those that it asks for.
[[nodiscard]] std::vector<rules::Family> families_of(const objects::Service& service);

}  // namespace kubenatd::agent::state
