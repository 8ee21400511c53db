#pragma once

#include "agent/objects/field.h"
#include "agent/objects/objects.h"

/// One decoder a kind. Each reads what it needs from the whole object at `root`; what is wrong goes to the findings of
/// the field, and an object that was refused is of no use.
namespace kubenatd::agent::objects {

[[nodiscard]] Service decode_service(const Field& root, ObjectKey key);
[[nodiscard]] Node decode_node(const Field& root, ObjectKey key);
[[nodiscard]] ServiceCidr decode_service_cidr(const Field& root, ObjectKey key);
/// Nothing in it refuses an Ingress: no rule depends on it.
[[nodiscard]] Ingress decode_ingress(const Field& root, ObjectKey key);
[[nodiscard]] IngressClass decode_ingress_class(const Field& root, ObjectKey key);
[[nodiscard]] Pod decode_pod(const Field& root, ObjectKey key);
/// None for an addressType that no proxy uses (FQDN).
[[nodiscard]] std::optional<EndpointSlice> decode_endpoint_slice(const Field& root, ObjectKey key);

}  // namespace kubenatd::agent::objects
