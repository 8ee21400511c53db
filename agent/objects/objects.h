#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "agent/base/rfc3339.h"
#include "agent/objects/gateway.h"
#include "agent/objects/object_key.h"
#include "agent/objects/shared.h"
#include "rules/address.h"
#include "rules/rule.h"

/// The parts of Kubernetes objects that rules, health and metrics depend on, typed and checked. All other parts
/// (managedFields, other annotations, status of containers) are dropped.
namespace kubenatd::agent::objects {

using Labels = std::map<std::string, std::string>;

struct ServicePort {
  std::string name;
  rules::Protocol protocol = rules::Protocol::kTcp;
  std::uint16_t port = 0;
  std::uint16_t node_port = 0;
  std::string target_port;  ///< number or name, as written; empty: the port itself. Only used to derive endpoints.
  bool operator==(const ServicePort&) const = default;
};

struct Service {
  enum class Type : std::uint8_t { kClusterIp, kNodePort, kLoadBalancer, kExternalName };

  /// Which endpoints are to be preferred, told to the EndpointSlice controller: spec.trafficDistribution, or kByCpu by
  /// the annotation of topology mode, which counts more.
  enum class Distribution : std::uint8_t { kAny, kSameZone, kSameNode, kByCpu };

  ObjectKey key;
  Type type = Type::kClusterIp;
  bool headless = false;                    ///< clusterIP None
  bool foreign_proxy = false;               ///< label service.kubernetes.io/service-proxy-name
  std::vector<rules::Address> cluster_ips;  ///< by position of ipFamilies; empty: headless, or none given yet
  std::vector<rules::Address> external_ips;
  std::vector<rules::Address> load_balancer_ips;  ///< status ingress with ipMode VIP or unset
  std::vector<rules::Prefix> source_ranges;
  bool internal_policy_local = false;
  bool external_policy_local = false;  ///< as kube-proxy decides it: policy Local and a type it applies to
  std::uint16_t health_check_node_port = 0;
  std::optional<std::uint32_t> affinity_seconds;
  bool publish_not_ready = false;
  Labels selector;                         ///< empty: endpoints are not derived
  std::vector<rules::Family> ip_families;  ///< spec.ipFamilies; without a cluster IP as `families_without_cluster_ip`
  Distribution distribution = Distribution::kAny;
  /// The API server gives each port of it a nodePort: type NodePort, or LoadBalancer unless
  /// allocateLoadBalancerNodePorts is false.
  bool wants_node_ports = false;
  std::vector<ServicePort> ports;
  bool operator==(const Service&) const = default;
};

/// Where an endpoint is, and whom it is meant for.
struct EndpointPlace {
  std::string node_name;
  std::vector<std::string> zone_hints;
  std::vector<std::string> node_hints;
  auto operator<=>(const EndpointPlace&) const = default;
};

[[nodiscard]] inline EndpointPlace on_node(std::string name) {
  return {.node_name = std::move(name), .zone_hints = {}, .node_hints = {}};
}

struct SliceEndpoint {
  rules::Address address;  ///< the first one
  bool ready = true;
  bool serving = true;
  bool terminating = false;
  Shared<EndpointPlace> place;
  bool operator==(const SliceEndpoint&) const = default;
};

struct SlicePort {
  std::string name;
  std::uint16_t port = 0;
  rules::Protocol protocol = rules::Protocol::kTcp;
  bool operator==(const SlicePort&) const = default;
};

struct EndpointSlice {
  ObjectKey key;
  std::string service;  ///< label kubernetes.io/service-name, in the slice's namespace; empty: of no use
  rules::Family family = rules::Family::kIpv4;
  std::vector<SlicePort> ports;
  std::vector<SliceEndpoint> endpoints;
  /// Annotation endpoints.kubernetes.io/last-change-trigger-time: when the Pod or Service changed that caused this
  /// slice.
  std::optional<base::WallTime> change_triggered;
  bool is_mirrored = false;  ///< made by the EndpointSliceMirroring controller, as its label says
  bool operator==(const EndpointSlice&) const = default;
};

struct EndpointsAddress {
  rules::Address address;
  bool ready = true;
  std::string node_name;
  std::string target_uid;  ///< of targetRef: one address may stand for several Pods
  bool operator==(const EndpointsAddress&) const = default;
};

struct EndpointsSubset {
  std::vector<EndpointsAddress> addresses;
  std::vector<SlicePort> ports;
  bool operator==(const EndpointsSubset&) const = default;
};

/// The older form of EndpointSlices (v1). Only folders have it: beside an API server a controller makes slices of it.
struct Endpoints {
  ObjectKey key;
  bool is_mirrored = true;  ///< not with the label skip-mirror, nor when it is the lock of a leader election
  std::vector<EndpointsSubset> subsets;
  bool operator==(const Endpoints&) const = default;
};

struct Node {
  ObjectKey key;
  std::vector<rules::Address> addresses;  ///< InternalIP first, then ExternalIP, in the order given
  std::vector<rules::Prefix> pod_cidrs;
  std::string zone;                ///< label topology.kubernetes.io/zone
  bool is_leaving = false;         ///< is being deleted, or has the taint ToBeDeletedByClusterAutoscaler
  bool is_ready = false;           ///< condition Ready
  bool is_control = false;         ///< has the label node-role.kubernetes.io/control-plane or master
  std::int64_t cpu_nanos = 0;      ///< status.allocatable.cpu, in billionths of a CPU, rounded up
  std::uint16_t kubelet_port = 0;  ///< status.daemonEndpoints.kubeletEndpoint.Port; 0: not told
  bool operator==(const Node&) const = default;
};

struct ContainerPort {
  std::string name;
  rules::Protocol protocol = rules::Protocol::kTcp;
  std::uint16_t container_port = 0;
  std::uint16_t host_port = 0;
  std::optional<rules::Address> host_ip;
  bool operator==(const ContainerPort&) const = default;
};

struct Pod {
  enum class Phase : std::uint8_t { kPending, kRunning, kSucceeded, kFailed, kUnknown };
  ObjectKey key;
  Labels labels;
  std::string node_name;
  std::string hostname;  ///< spec.hostname
  bool host_network = false;
  Phase phase = Phase::kUnknown;
  bool ready = false;                     ///< condition Ready
  bool terminating = false;               ///< metadata.deletionTimestamp
  std::int64_t created = 0;               ///< metadata.creationTimestamp, in seconds of the epoch; 0: not told
  std::vector<rules::Address> addresses;  ///< status.podIPs
  std::vector<ContainerPort> ports;       ///< of all containers (and restartable init containers)
  bool operator==(const Pod&) const = default;
};

/// Addresses that Services may be given.
struct ServiceCidr {
  ObjectKey key;
  std::vector<rules::Prefix> cidrs;
  bool operator==(const ServiceCidr&) const = default;
};

struct IngressBackend {
  std::string service;  ///< empty: a resource backend, or none
  std::uint16_t port = 0;
  std::string port_name;
  bool operator==(const IngressBackend&) const = default;
};

struct IngressPath {
  enum class Type : std::uint8_t { kExact, kPrefix, kImplementationSpecific };
  std::string path;
  Type type = Type::kImplementationSpecific;
  IngressBackend backend;
  bool operator==(const IngressPath&) const = default;
};

struct IngressRule {
  std::string host;  ///< empty: every host; may begin with "*."
  std::vector<IngressPath> paths;
  bool operator==(const IngressRule&) const = default;
};

/// Makes no rules: only `explain` looks at it.
struct Ingress {
  ObjectKey key;
  std::string class_name;  ///< spec.ingressClassName, else the annotation kubernetes.io/ingress.class; may be empty
  bool class_by_annotation = false;
  Labels annotations;  ///< those that controllers look at
  std::optional<IngressBackend> default_backend;
  std::vector<IngressRule> rules;
  std::vector<std::string> tls_hosts;
  bool operator==(const Ingress&) const = default;
};

struct IngressClass {
  ObjectKey key;
  std::string controller;
  bool is_default = false;
  bool operator==(const IngressClass&) const = default;
};

using Object = std::variant<Service, EndpointSlice, Node, Pod, ServiceCidr, Ingress, IngressClass, GatewayClass,
                            Gateway, HttpRoute, Endpoints>;

enum class Kind : std::uint8_t {
  kService,
  kEndpointSlice,
  kNode,
  kPod,
  kServiceCidr,
  kIngress,
  kIngressClass,
  kGatewayClass,
  kGateway,
  kHttpRoute,
  kEndpoints,
};

[[nodiscard]] inline Kind kind_of(const Object& object) {
  return static_cast<Kind>(object.index());
}

/// Not cluster-scoped.
[[nodiscard]] constexpr bool has_namespace(Kind kind) {
  return kind != Kind::kNode && kind != Kind::kServiceCidr && kind != Kind::kIngressClass &&
         kind != Kind::kGatewayClass;
}

/// "Service", "EndpointSlice", ...
[[nodiscard]] std::string_view name_of(Kind kind);

/// All who keep an object keep it in this form, so that it is in memory only once.
using ObjectPtr = std::shared_ptr<const Object>;

/// What a source reports: an object has this content now, or it is gone.
struct ObjectEvent {
  Kind kind = Kind::kService;
  ObjectKey key;
  ObjectPtr object;  ///< none: deleted
};

}  // namespace kubenatd::agent::objects
