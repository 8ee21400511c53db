#pragma once

#include <optional>
#include <string>

#include "rules/address.h"
#include "rules/error.h"

namespace kubenatd::netlink::host {

/// The interface on which `address` is a neighbour; nothing when it lies behind a gateway or has no route.
/// Opens its own socket; needs no rights. Cost: one question to the kernel.
[[nodiscard]] rules::Result<std::optional<std::string>> neighbour_interface(const rules::Address& address);

}  // namespace kubenatd::netlink::host
