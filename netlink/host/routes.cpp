#include "netlink/host/routes.h"

#include <linux/rtnetlink.h>
#include <netlink/cache.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "netlink/host/interfaces.h"
#include "netlink/host/libnl.h"

namespace kubenatd::netlink::host {
namespace {

constexpr const char* kObject = "routes";

struct CacheDelete {
  void operator()(nl_cache* cache) const { nl_cache_free(cache); }
};

rules::Prefix prefix_of(const nl_addr* destination, rules::Family family) {
  rules::Address address;
  address.family = family;
  // The default route has a destination without bytes.
  const std::size_t size = std::min<std::size_t>(nl_addr_get_len(destination), address.octets().size());
  std::copy_n(static_cast<const std::uint8_t*>(nl_addr_get_binary_addr(destination)), size, address.bytes.begin());
  const unsigned length = std::min<unsigned>(nl_addr_get_prefixlen(destination), rules::bits_of(family));
  return rules::Prefix::of(address, static_cast<std::uint8_t>(size == 0 ? 0 : length));
}

}  // namespace

rules::Result<std::vector<Route>> main_routes() {
  rules::Result<LibnlSocket> socket = LibnlSocket::connect(NETLINK_ROUTE, kObject);
  if (!socket) return std::unexpected(std::move(socket.error()));
  std::vector<Route> routes;
  for (const auto& [number, family] :
       {std::pair(AF_INET, rules::Family::kIpv4), std::pair(AF_INET6, rules::Family::kIpv6)}) {
    // Not rtnl_route_alloc_cache(): when a dump fails, that of libnl 3.7.0 keeps for ever what it has read.
    nl_cache* made = nullptr;
    if (const int error = nl_cache_alloc_name("route/route", &made); error < 0) return socket->failure("list", error);
    const std::unique_ptr<nl_cache, CacheDelete> cache(made);
    nl_cache_set_arg1(cache.get(), number);
    if (const int error = nl_cache_refill(socket->get(), cache.get()); error < 0) return socket->failure("list", error);
    for (nl_object* object = nl_cache_get_first(cache.get()); object != nullptr; object = nl_cache_get_next(object)) {
      auto* route = reinterpret_cast<rtnl_route*>(object);
      if (rtnl_route_get_table(route) != RT_TABLE_MAIN || rtnl_route_get_type(route) != RTN_UNICAST) continue;
      if (rtnl_route_get_nnexthops(route) < 1) continue;
      const auto index = static_cast<unsigned>(rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(route, 0)));
      const nl_addr* destination = rtnl_route_get_dst(route);
      std::string name = interface_name(index);
      if (destination == nullptr || name.empty()) continue;
      routes.push_back({prefix_of(destination, family), std::move(name)});
    }
  }
  return routes;
}

}  // namespace kubenatd::netlink::host
