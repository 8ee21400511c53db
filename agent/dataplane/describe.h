#pragma once

#include <string>

#include "agent/dataplane/dataplane.h"

/// Words for what the dataplane reports; made here alone.
namespace kubenatd::agent::dataplane {

/// "nat KUBE-SERVICES" in iptables' tables; "kubenatd set endpoints", "kubenatd chain services" in nftables mode's.
[[nodiscard]] std::string describe(const rules::ObjectRef& object);

/// "demo/web:http: refused by the kernel: ip nat KUBE-SVC-X: add rule: ...", with the part of the kernel that is
/// missing where that is why.
[[nodiscard]] std::string describe(const RefusedObject& refused);

}  // namespace kubenatd::agent::dataplane
