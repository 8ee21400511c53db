#include "netlink/host/routes.h"

#include <linux/rtnetlink.h>

#include <cstdint>
#include <cstring>
#include <utility>

#include "netlink/core/attributes.h"
#include "netlink/core/names.h"
#include "netlink/host/interfaces.h"
#include "netlink/host/kernel_talk.h"
#include "netlink/host/rtnetlink.h"

namespace kubenatd::netlink::host {
namespace {

// libnl's cache of routes is not used: in 3.7.0 it leaks when a dump fails, and a next hop of length 0 has no end.
constexpr const char* kObject = "routes";

/// Number of the interface of the first next hop; 0: it leads to none.
std::uint32_t first_interface(std::string_view attributes) {
  if (const auto out = find_attribute(attributes, RTA_OIF).payload; !out.empty()) return number_in(out);
  const auto hops = find_attribute(attributes, RTA_MULTIPATH).payload;
  rtnexthop hop{};
  if (hops.size() < sizeof hop) return 0;
  std::memcpy(&hop, hops.data(), sizeof hop);
  return static_cast<std::uint32_t>(hop.rtnh_ifindex);
}

void read_route(const Message& message, rules::Family family, std::vector<Route>& routes) {
  const auto route = fixed_part<rtmsg>(message);
  if (!route || message.type != RTM_NEWROUTE || route->rtm_type != RTN_UNICAST ||
      route->rtm_family != number_of(family) || (route->rtm_flags & RTM_F_CLONED) != 0 ||
      route->rtm_dst_len > rules::bits_of(family))
    return;
  const std::string_view attributes = attributes_behind<rtmsg>(message);
  const auto table = find_attribute(attributes, RTA_TABLE).payload;
  if ((table.empty() ? route->rtm_table : number_in(table)) != RT_TABLE_MAIN) return;
  std::string name = interface_name(first_interface(attributes));
  if (name.empty()) return;
  // The default route has no destination.
  rules::Address any;
  any.family = family;
  const auto destination = address_of(family, find_attribute(attributes, RTA_DST).payload);
  routes.push_back({rules::Prefix::of(destination.value_or(any), route->rtm_dst_len), std::move(name)});
}

}  // namespace

rules::Result<std::vector<Route>> main_routes() {
  auto talk = KernelTalk::open(NETLINK_ROUTE, kObject);
  if (!talk) return std::unexpected(std::move(talk.error()));
  std::vector<Route> routes;
  for (const rules::Family family : rules::kFamilies) {
    rtmsg fixed{};
    fixed.rtm_family = number_of(family);
    const std::size_t before = routes.size();
    const auto asked = talk->ask(
        KernelRequest(RTM_GETROUTE, NLM_F_DUMP, fixed), kObject,
        [&](const Message& message) { read_route(message, family, routes); }, [&] { routes.resize(before); });
    if (!asked) return std::unexpected(asked.error());
  }
  return routes;
}

}  // namespace kubenatd::netlink::host
