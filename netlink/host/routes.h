#pragma once

#include <string>
#include <vector>

#include "rules/address.h"
#include "rules/error.h"

namespace kubenatd::netlink::host {

struct Route {
  rules::Prefix destination;
  std::string interface;
};

/// The unicast routes of the main table that lead to an interface, both families. Other tables, rules of policy routing
/// and further next hops are not looked at. Needs no rights.
[[nodiscard]] rules::Result<std::vector<Route>> main_routes();

}  // namespace kubenatd::netlink::host
