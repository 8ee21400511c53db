#pragma once

#include "agent/objects/field.h"
#include "agent/objects/objects.h"

/// One decoder for each kind. Each reads what it needs from the whole object at `root` and reports what is wrong to the
/// findings of the field. The result counts only when the object was not refused.
namespace kubenatd::agent::objects {

[[nodiscard]] Service decode_service(const Field& root, ObjectKey key);
[[nodiscard]] Node decode_node(const Field& root, ObjectKey key);
[[nodiscard]] ServiceCidr decode_service_cidr(const Field& root, ObjectKey key);
[[nodiscard]] Ingress decode_ingress(const Field& root, ObjectKey key);
[[nodiscard]] IngressClass decode_ingress_class(const Field& root, ObjectKey key);
[[nodiscard]] GatewayClass decode_gateway_class(const Field& root, ObjectKey key);
[[nodiscard]] Gateway decode_gateway(const Field& root, ObjectKey key);
[[nodiscard]] HttpRoute decode_http_route(const Field& root, ObjectKey key);
[[nodiscard]] Pod decode_pod(const Field& root, ObjectKey key);
[[nodiscard]] Endpoints decode_endpoints(const Field& root, ObjectKey key);
/// None for an addressType that no proxy uses (FQDN).
[[nodiscard]] std::optional<EndpointSlice> decode_endpoint_slice(const Field& root, ObjectKey key);

/// What the EndpointSlice controller looks at beside selector and Pods: of a Service, and of a Node.
[[nodiscard]] Service::Distribution read_distribution(const Field& root);
void read_topology(const Field& root, Node& node);

}  // namespace kubenatd::agent::objects
