#include "agent/node/forwarding.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "agent/base/sysctl.h"
#include "netlink/host/interfaces.h"
#include "netlink/host/switches.h"

namespace kubenatd::agent::node {
namespace {

using rules::Family;

constexpr std::string_view kDisableIpv6 = "net/ipv6/conf/all/disable_ipv6";
constexpr int kStrict = 1;

bool can_write(std::string_view setting) {
  for (const std::string_view root : {std::string_view("/proc/sys"), base::kMountedSysctls})
    if (::access((std::filesystem::path(root) / setting).c_str(), W_OK) == 0) return true;
  return false;
}

Finding judge_forwarding(std::optional<bool> forwards, Family family) {
  const bool ipv4 = family == Family::kIpv4;
  const std::string setting = ipv4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding";
  Finding finding{.name = ipv4 ? "ip_forward" : "forwarding", .family = family};
  if (!forwards) {
    finding.state = State::kUnknown;
    finding.what = setting + " cannot be read";
  } else if (!*forwards) {
    finding.state = State::kWarning;
    finding.what = setting + " is 0: only this node itself reaches Services, and no Pod";
    finding.remedy = fmt::format("sysctl -w {}=1 (kubelet's network plugin does it on most nodes)", setting);
  }
  return finding;
}

Finding judge_reverse_path(const Forwarding& forwarding) {
  Finding finding{.name = "rp_filter", .family = Family::kIpv4};
  if (!forwarding.reverse_path) {
    finding.state = State::kUnknown;
    finding.what = "it cannot be read";
  } else if (*forwarding.reverse_path == kStrict) {
    finding.state = State::kWarning;
    finding.what = fmt::format(
        "strict on {}: packets are dropped whose answers would leave by another interface, as on nodes with several",
        forwarding.reverse_path_interface);
    finding.remedy = "2 (loose) where clients or Pods come in by more than one interface";
  }
  return finding;
}

Finding judge_bridges(const Forwarding& forwarding, Family family) {
  const bool ipv4 = family == Family::kIpv4;
  const bool calls = ipv4 ? forwarding.bridges_call_iptables : forwarding.bridges_call_ip6tables;
  Finding finding{.name = ipv4 ? "bridge-nf-call-iptables" : "bridge-nf-call-ip6tables", .family = family};
  if (!forwarding.has_bridge) {
    finding.what = "there is no bridge";
  } else if (!calls) {
    finding.state = State::kWarning;
    finding.what =
        "off, and there is a bridge: a Pod on it that asks a Service whose endpoint is on the same one gets "
        "its answer from the wrong address";
    finding.remedy = fmt::format("modprobe br_netfilter; sysctl -w net.bridge.{}=1", finding.name);
  }
  return finding;
}

Finding judge_route_localnet(const Forwarding& forwarding, bool wanted) {
  Finding finding{.name = "route_localnet", .family = Family::kIpv4};
  if (forwarding.route_localnet.value_or(false) || !wanted) return finding;
  if (!forwarding.settings_writable) {
    finding.state = State::kWarning;
    finding.what = "it is 0, and settings cannot be written from here: NodePorts do not answer on localhost";
    finding.remedy =
        "mount the host's /proc/sys/net below /host, as the DaemonSet in manifests/base does; or "
        "iptables.localhostNodePorts: false";
  } else {
    finding.what = "0; run sets it for NodePorts on localhost";
  }
  return finding;
}

Finding judge_ipv6(const Forwarding& forwarding) {
  Finding finding{.name = "ipv6", .family = Family::kIpv6};
  if (!forwarding.has_ipv6) {
    finding.state = State::kWarning;
    finding.what = "this kernel or network namespace has none: Services have no IPv6 addresses here";
    finding.remedy = "where they should, boot without ipv6.disable=1";
  } else if (forwarding.ipv6_disabled.value_or(false)) {
    finding.state = State::kWarning;
    finding.what =
        "net.ipv6.conf.all.disable_ipv6 is 1: interfaces have no IPv6 addresses; rules are made all the same";
    finding.remedy = "where Services have IPv6 addresses, sysctl -w net.ipv6.conf.all.disable_ipv6=0";
  }
  return finding;
}

}  // namespace

Forwarding read_forwarding() {
  Forwarding forwarding;
  forwarding.ipv4 = netlink::host::forwards(Family::kIpv4, {});
  forwarding.has_ipv6 = ::access("/proc/net/if_inet6", F_OK) == 0;
  if (forwarding.has_ipv6) forwarding.ipv6 = netlink::host::forwards(Family::kIpv6, {});
  if (const auto disabled = base::read_sysctl(kDisableIpv6)) forwarding.ipv6_disabled = *disabled != "0";
  if (const auto localnet = base::read_sysctl(base::kSysctlRouteLocalnet)) forwarding.route_localnet = *localnet != "0";
  forwarding.settings_writable = can_write(base::kSysctlRouteLocalnet);
  forwarding.bridges_call_iptables = netlink::host::bridges_call_iptables(Family::kIpv4);
  forwarding.bridges_call_ip6tables = netlink::host::bridges_call_iptables(Family::kIpv6);
  const auto links = netlink::host::read_links();
  if (!links) return forwarding;
  for (const auto& [name, link] : *links) {
    forwarding.has_bridge = forwarding.has_bridge || link.facts.kind == "bridge";
    const auto filter = name == "lo" ? std::nullopt : netlink::host::reverse_path_filter(name);
    if (!filter || (forwarding.reverse_path == kStrict)) continue;
    forwarding.reverse_path = filter;
    forwarding.reverse_path_interface = name;
  }
  if (!forwarding.reverse_path)
    forwarding.reverse_path = netlink::host::reverse_path_filter("lo").and_then([](int) { return std::optional(0); });
  return forwarding;
}

Findings judge(const Forwarding& forwarding, bool localhost_node_ports) {
  Findings findings{judge_forwarding(forwarding.ipv4, Family::kIpv4)};
  findings.push_back(judge_ipv6(forwarding));
  if (forwarding.has_ipv6) findings.push_back(judge_forwarding(forwarding.ipv6, Family::kIpv6));
  findings.push_back(judge_reverse_path(forwarding));
  findings.push_back(judge_route_localnet(forwarding, localhost_node_ports));
  findings.push_back(judge_bridges(forwarding, Family::kIpv4));
  if (forwarding.has_ipv6) findings.push_back(judge_bridges(forwarding, Family::kIpv6));
  return findings;
}

}  // namespace kubenatd::agent::node
