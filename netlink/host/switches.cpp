#include "netlink/host/switches.h"

#include <algorithm>
#include <charconv>
#include <fstream>

namespace kubenatd::netlink::host {
namespace {

constexpr const char* kIpv4 = "/proc/sys/net/ipv4/";
constexpr const char* kIpv6 = "/proc/sys/net/ipv6/";

std::optional<int> read_number(const std::string& path) {
  std::ifstream file(path);
  int number = 0;
  if (!(file >> number)) return std::nullopt;
  return number;
}

/// An interface name is one part of a path: one with a slash is written with "." there (and "." stays itself below
/// /proc/sys).
std::string part_of(std::string interface) {
  std::ranges::replace(interface, '/', '.');
  return interface;
}

std::optional<int> of_interface(const char* root, const std::string& interface, const char* name) {
  return read_number(std::string(root) + "conf/" + part_of(interface) + "/" + name);
}

}  // namespace

std::optional<bool> forwards(rules::Family family, const std::string& interface) {
  if (family == rules::Family::kIpv6) {
    const auto whole = of_interface(kIpv6, "all", "forwarding");
    if (!whole) return std::nullopt;
    return *whole != 0 || (!interface.empty() && of_interface(kIpv6, interface, "force_forwarding").value_or(0) != 0);
  }
  const auto number =
      interface.empty() ? read_number(std::string(kIpv4) + "ip_forward") : of_interface(kIpv4, interface, "forwarding");
  return number ? std::optional(*number != 0) : std::nullopt;
}

std::optional<bool> routes_localnet(const std::string& interface) {
  const auto all = of_interface(kIpv4, "all", "route_localnet");
  const auto own = of_interface(kIpv4, interface, "route_localnet");
  if (!all || !own) return std::nullopt;
  return *all != 0 || *own != 0;
}

std::optional<int> reverse_path_filter(const std::string& interface) {
  const auto all = of_interface(kIpv4, "all", "rp_filter");
  const auto own = of_interface(kIpv4, interface, "rp_filter");
  if (!all || !own) return std::nullopt;
  return std::max(*all, *own);
}

int multipath_policy(rules::Family family) {
  const char* root = family == rules::Family::kIpv4 ? kIpv4 : kIpv6;
  return read_number(std::string(root) + "fib_multipath_hash_policy").value_or(0);
}

bool bridges_call_iptables(rules::Family family) {
  const char* name = family == rules::Family::kIpv4 ? "bridge-nf-call-iptables" : "bridge-nf-call-ip6tables";
  return read_number(std::string("/proc/sys/net/bridge/") + name).value_or(0) != 0;
}

}  // namespace kubenatd::netlink::host
