#pragma once

#include "rules/error.h"

namespace kubenatd::netlink::host {

/// Whether the kernel has policies of IPsec (xfrm) besides those of single sockets: they decide about packets that no
/// rule mentions. Asked by XFRM_MSG_GETSPDINFO, which needs CAP_NET_ADMIN; a kernel without xfrm has none.
[[nodiscard]] rules::Result<bool> has_ipsec_policies();

}  // namespace kubenatd::netlink::host
