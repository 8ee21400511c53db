#include <algorithm>
#include <utility>

#include "rules/walk/xt/expressions.h"
#include "rules/walk/xt/matches.h"

/// What rules ask of the node: sockets, routes, bridges; and of the past.
namespace kubenatd::rules::walk::xt {
namespace {

/// A packet without a socket fits when negated: xt_owner asks nothing of it then. nft's meta would break the rule.
Statement owner(std::uint32_t key, std::uint32_t first, std::uint32_t last, bool negate) {
  Condition inside =
      first == last
          ? is(meta(key), Bytes::host(first), false)
          : Condition{
                make(Swap{meta(key), 4}), {{Bytes::network(first, 4), Bytes::network(last, 4)}}, false, Part::kOther};
  return AnyOf{{std::move(inside)}, negate, Part::kOther};
}

/// A value that the packet has or has not, but that is not known.
Condition unknown(ExpressionPtr there, std::uint16_t size, std::string text, bool negate) {
  return is(make(BitsOfTwo{BitsOfTwo::Operation::kXor, std::move(there), make(Unread{std::move(text), size})}),
            Bytes::filled(size, 0), negate);
}

}  // namespace

Statement owner_user(std::uint32_t first, std::uint32_t last, bool negate) {
  return owner(NFT_META_SKUID, first, last, negate);
}

Statement owner_group(std::uint32_t first, std::uint32_t last, bool negate) {
  return owner(NFT_META_SKGID, first, last, negate);
}

Statement socket_exists(bool negate) {
  // No bit of the user counts, only that there is one.
  return AnyOf{{is(host_bits(meta(NFT_META_SKUID), 0), Bytes::host(0), false)}, negate, Part::kOther};
}

Statement nth(std::uint32_t every) {
  return Chance{1.0 / std::max<std::uint32_t>(every, 1)};
}

Statement accounting(std::string_view name) {
  // Of kube-proxy 1.30 and later, which sets no quota.
  constexpr std::string_view kWithoutQuota[] = {"ct_state_invalid_dropped_pkts", "localhost_nps_accepted_pkts"};
  std::string text = "-m nfacct --nfacct-name " + std::string(name);
  if (std::ranges::find(kWithoutQuota, name) != std::end(kWithoutQuota)) return NoEffect{std::move(text)};
  return Unjudged{std::move(text), Part::kOther};
}

Statement bridge_port(std::string text, bool negate) {
  return AnyOf{{unknown(meta(NFT_META_BRI_IIFNAME), 16, std::move(text), false)}, negate, Part::kOther};
}

Statement way_back(bool loose, bool use_mark, bool accept_local, bool negate, Family family) {
  std::uint32_t flags = NFTA_FIB_F_SADDR;
  if (use_mark) flags |= NFTA_FIB_F_MARK;
  const std::uint32_t by_interface = loose ? flags : flags | NFTA_FIB_F_IIF;
  Condition found = is(make(Fib{NFT_FIB_RESULT_OIF, by_interface}), Bytes::host(0), true);
  if (!accept_local) {
    found.negate = !negate;
    return found;
  }
  // A local address counts, of IPv4 only one of that interface unless loose (fib_info_nh_uses_dev).
  constexpr std::uint32_t kLocal = 2;  // RTN_LOCAL
  Condition local = is(make(Fib{NFT_FIB_RESULT_ADDRTYPE, family == Family::kIpv6 ? flags : by_interface}),
                       Bytes::host(kLocal), false);
  return AnyOf{{std::move(found), std::move(local)}, negate, Part::kOther};
}

Statement interface_group(bool is_in, std::uint32_t value, std::uint32_t mask, bool negate) {
  return is(host_bits(meta(is_in ? NFT_META_IIFGROUP : NFT_META_OIFGROUP), mask), Bytes::host(value & mask), negate);
}

Statement route_realm(std::uint32_t value, std::uint32_t mask, bool negate) {
  return is(host_bits(meta(NFT_META_RTCLASSID), mask), Bytes::host(value), negate);
}

Statement processor(std::uint32_t number, bool negate) {
  return is(meta(NFT_META_CPU), Bytes::host(number), negate);
}

Statement cgroup_class(std::uint32_t number, bool negate) {
  return is(meta(NFT_META_CGROUP), Bytes::host(number), negate);
}

Statement cgroup_path(std::string text, bool negate) {
  return unknown(meta(NFT_META_CGROUP), 4, std::move(text), negate);
}

Statement ipsec(bool is_in, bool none) {
  const ExpressionPtr through = is_in ? meta(NFT_META_SECPATH) : make(RouteField{NFT_RT_XFRM});
  return is(through, Bytes::network(none ? 0 : 1, 1), false);
}

Statement socket_found(bool any_address) {
  Condition found = is(make(SocketField{NFT_SOCKET_WILDCARD, 0}), Bytes::network(0, 1), false);
  if (any_address) found.ranges.emplace_back(Bytes::network(1, 1), Bytes::network(1, 1));
  return found;
}

Statement socket_transparent() {
  return is(make(SocketField{NFT_SOCKET_TRANSPARENT, 0}), Bytes::network(1, 1), false);
}

}  // namespace kubenatd::rules::walk::xt
