#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/environment.h"
#include "agent/config/settings.h"
#include "netlink/core/socket.h"
#include "netlink/host/interfaces.h"
#include "rules/nftables/options.h"

/// The fast path of nftables mode: whether this node can have it, and on which devices.
namespace kubenatd::agent::dataplane {

struct FastPathSupport {
  rules::nftables::FastPath can = rules::nftables::FastPath::kOff;
  std::string limit;  ///< why it is not all; empty: it is
};

/// By the kernel's release alone ("6.1.0-32-amd64"). Pure. One that cannot be read counts as new.
///  - From 6.1 on: until 5.14 a connection that had been in a flowtable and rested for 150 s was forgotten by
///  connection
///    tracking (NF_FLOWTABLE_TCP_PICKUP_TIMEOUT); what came between is not tested.
///  - UDP from 6.4 on: before, ctnetlink refuses to delete an entry that is in a flowtable (EBUSY; "Support offloaded
///    conntrack entry deletion"), and stale flows could not be taken off an endpoint that is gone.
[[nodiscard]] FastPathSupport fast_path_of_release(std::string_view release);

/// The same, when the kernel takes a flowtable and a rule for it; both are tried out and never come into being. An
/// error: it could not be found out.
[[nodiscard]] rules::Result<FastPathSupport> find_fast_path(netlink::Socket& socket);
/// In this network namespace; what could not be found out is told by the release.
[[nodiscard]] FastPathSupport find_fast_path();

/// Devices of the flowtable: those that a name or a prefix fits, and with "auto" all that are up and have their packets
/// routed. That leaves out loopback, and what belongs to a bridge, a bond or Open vSwitch: there the master routes.
/// Ports of a VRF route themselves. Tunnels are devices as others: what they carry is routed. Sorted. Pure.
[[nodiscard]] std::vector<config::Device> choose_devices(const std::vector<config::DevicePattern>& wanted,
                                                         const std::map<std::string, netlink::host::Link>& links);

}  // namespace kubenatd::agent::dataplane
