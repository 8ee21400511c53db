#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/node/finding.h"

/// Switches of the kernel beside netfilter that decide what becomes of a translated packet.
namespace kubenatd::agent::node {

struct Forwarding {
  std::optional<bool> ipv4, ipv6;      ///< packets are forwarded at all
  std::optional<int> reverse_path;     ///< the strictest rp_filter of all interfaces: 1 strict, 2 loose
  std::string reverse_path_interface;  ///< one that has it
  std::optional<bool> route_localnet;
  bool settings_writable = true;  ///< settings below net/ can be written from here
  bool has_bridge = false;
  bool bridges_call_iptables = false, bridges_call_ip6tables = false;
  bool has_ipv6 = true;               ///< the kernel has IPv6
  std::optional<bool> ipv6_disabled;  ///< by disable_ipv6 of all interfaces
};

/// Of this network namespace.
[[nodiscard]] Forwarding read_forwarding();
/// `localhost_node_ports`: NodePorts are to answer on 127.0.0.0/8. Pure.
[[nodiscard]] Findings judge(const Forwarding& forwarding, bool localhost_node_ports);

}  // namespace kubenatd::agent::node
