#pragma once

#include <optional>
#include <string>

#include "rules/address.h"

/// Switches of the kernel in this network namespace that decide about packets besides netfilter, from /proc/sys/net.
/// What cannot be read is not known. No rights are needed.
namespace kubenatd::netlink::host {

/// Whether packets that arrive at the interface are forwarded; an empty name asks for the node as a whole. Of IPv6, the
/// node as a whole decides, or force_forwarding of the interface (6.17 and newer).
[[nodiscard]] std::optional<bool> forwards(rules::Family family, const std::string& interface);
/// Whether 127.0.0.0/8 may be routed for packets of the interface: it or `all`.
[[nodiscard]] std::optional<bool> routes_localnet(const std::string& interface);
/// The stricter one of the interface and `all`: 0 off, 1 strict, 2 loose. (The kernel takes the larger number.)
[[nodiscard]] std::optional<int> reverse_path_filter(const std::string& interface);
/// How next hops of one route are chosen; 0: by addresses alone.
[[nodiscard]] int multipath_policy(rules::Family family);
/// Whether bridges hand frames to iptables (br_netfilter); false where that is not loaded.
[[nodiscard]] bool bridges_call_iptables(rules::Family family);

}  // namespace kubenatd::netlink::host
