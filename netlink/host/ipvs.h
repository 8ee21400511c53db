#pragma once

namespace kubenatd::netlink::host {

/// Whether the kernel's load balancer (IPVS) has services in this network namespace. False where that cannot be read.
/// Needs no rights.
[[nodiscard]] bool has_ipvs_services();

}  // namespace kubenatd::netlink::host
