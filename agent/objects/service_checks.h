#pragma once

#include "agent/objects/field.h"

/// What the API server asks of a Service as a whole before it creates one. Each looks at objects of folders only.
namespace kubenatd::agent::objects {

/// spec.clusterIP and spec.clusterIPs, with the families of spec.ipFamilies.
void check_cluster_ips(const Field& spec, const Service& service);
/// externalTrafficPolicy and healthCheckNodePort where they have no meaning.
void check_external_policy(const Field& spec, const Service& service);
/// Ports of the node where the type has none, load balancer addresses and source ranges without a load balancer.
void check_type_fields(const Field& root, const Service& service);

}  // namespace kubenatd::agent::objects
