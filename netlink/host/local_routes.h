#pragma once

#include <vector>

#include "rules/address.h"
#include "rules/error.h"

namespace kubenatd::netlink::host {

/// Prefixes that are local by a route of type local (`ip route add local`), besides loopback and `addresses`, the
/// sorted ones of interfaces; sorted, without doubles. Longer routes in them may lead elsewhere: is_local() tells of
/// one address.
///
/// Routes of table `local` count. Those of another table count where is_local() says so of one of some addresses in
/// them, asked at most kMostAsked times in all: that leaves out the `local default` of a table for marked packets
/// (TPROXY). Cost: one dump, in which the kernel passes over all its routes and gives those of type local. Needs no
/// rights.
[[nodiscard]] rules::Result<std::vector<rules::Prefix>> local_prefixes(const std::vector<rules::Address>& addresses);

inline constexpr int kMostAsked = 64;

/// Whether the address is local, by the kernel's own word, as `-m addrtype --dst-type LOCAL` and `fib daddr type local`
/// take it for packets without a mark (Linux 6.18):
///  - IPv4: table `local` alone is asked (inet_addr_type). Until a network namespace has its first rule of policy
///    routing, that table and `main` are one, and the longest prefix of both counts (fib_unmerge).
///  - IPv6: the route that is found by all rules of policy routing.
/// An anycast address of IPv6 (RTN_ANYCAST) is not local. The first address of an IPv6 prefix is (for routing and
/// addrtype), though `fib` calls it anycast (RFC 4291, 2.6.1). Cost: one question. Needs no rights.
[[nodiscard]] rules::Result<bool> is_local(const rules::Address& address);

}  // namespace kubenatd::netlink::host
