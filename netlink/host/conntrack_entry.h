#pragma once

#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

#include <array>
#include <cstdint>
#include <optional>

#include "netlink/host/conntrack.h"
#include "rules/address.h"

namespace kubenatd::netlink::host {

/// A message's attributes by their type (CTA_*); they point into it.
using ConntrackAttributes = std::array<nlattr*, CTA_MAX + 1>;

/// Reads a message of IPCTNL_MSG_CT_NEW, which is in memory as long as its header says. None: it is of another family
/// or protocol, or not as the kernel writes it. `attributes` has then no meaning. Pure. Failure: none, whatever the
/// bytes.
[[nodiscard]] std::optional<ConntrackFlow> read_conntrack_entry(const nlmsghdr& message, rules::Family family,
                                                                std::uint8_t protocol, ConntrackAttributes& attributes);

}  // namespace kubenatd::netlink::host
