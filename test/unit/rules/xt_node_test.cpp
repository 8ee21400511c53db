#include <catch2/catch.hpp>

#include "test/unit/rules/xt_statements.h"

namespace kubenatd::rules::walk::xt {
namespace {

using namespace test;  // NOLINT: what the tests of statements share

TEST_CASE("xt matches: owners of sockets and packets without one") {
  // Negated as a whole: what has no socket fits then.
  AnyOf any = any_of(owner_user(1000, 1000, true));
  CHECK(any.negate);
  CHECK(what<Meta>(any.conditions.at(0).left).key == NFT_META_SKUID);
  CHECK(any.conditions.at(0).ranges.at(0).first == Bytes::host(1000));
  any = any_of(owner_group(1000, 2000, false));
  CHECK_FALSE(any.negate);
  CHECK(what<Meta>(what<Swap>(any.conditions.at(0).left).of).key == NFT_META_SKGID);
  CHECK(ranges(any.conditions.at(0)) == "000003e8-000007d0");
  any = any_of(socket_exists(true));
  CHECK(any.negate);
  CHECK(what<Bits>(any.conditions.at(0).left).mask == Bytes::host(0));
}

TEST_CASE("xt matches: each nth packet is a chance") {
  CHECK(std::get<Chance>(nth(4)).odds == 0.25);
  CHECK(std::get<Chance>(nth(0)).odds == 1);
}

TEST_CASE("xt matches: accounting fits but for a quota that nobody here knows") {
  CHECK(std::holds_alternative<NoEffect>(accounting("localhost_nps_accepted_pkts")));
  CHECK(std::holds_alternative<Unjudged>(accounting("monthly")));
}

TEST_CASE("xt matches: chunks of SCTP are those of a packet that begins a connection") {
  const auto fits = [](Chunks kind, const std::vector<std::uint8_t>& types, bool negate) {
    const Condition made = condition(sctp_chunks(kind, types, negate));
    return (what<Constant>(made.left).bytes == made.ranges.at(0).first) != made.negate;
  };
  CHECK(fits(Chunks::kAny, {0, 1}, false));
  CHECK_FALSE(fits(Chunks::kAny, {0}, false));
  CHECK_FALSE(fits(Chunks::kAny, {0, 1}, true));
  CHECK(fits(Chunks::kAll, {1}, false));
  CHECK_FALSE(fits(Chunks::kAll, {0, 1}, false));
  CHECK(fits(Chunks::kAll, {0, 1}, true));
  CHECK(fits(Chunks::kOnly, {0, 1}, false));
  CHECK_FALSE(fits(Chunks::kOnly, {0}, false));
}

TEST_CASE("xt matches: a missing option of tcp counts as another size") {
  const AnyOf size = any_of(tcp_segment_size(500, 1000, true));
  CHECK(size.negate);
  CHECK(what<ExtensionHeader>(size.conditions.at(0).left).offset == 2);
  CHECK(ranges(size.conditions.at(0)) == "01f4-03e8");
  const Condition ecn = condition(ecn_codepoint(2, Family::kIpv6, true));
  CHECK(hex(what<Bits>(ecn.left).mask) == "0030");
  CHECK(ranges(ecn) == "0020");
  CHECK(ecn.negate);
}

TEST_CASE("xt matches: ports of bridges are never known but may be missing") {
  const AnyOf port = any_of(bridge_port("-m physdev --physdev-in eth0", true));
  CHECK(port.negate);
  const auto both = what<BitsOfTwo>(port.conditions.at(0).left);
  CHECK(what<Meta>(both.of).key == NFT_META_BRI_IIFNAME);
  CHECK(what<Unread>(both.other).text == "-m physdev --physdev-in eth0");
  const Condition path = condition(cgroup_path("-m cgroup --path x", true));
  CHECK(path.negate);
  CHECK(what<Meta>(what<BitsOfTwo>(path.left).of).key == NFT_META_CGROUP);
}

TEST_CASE("xt matches: a way back to the source") {
  const Condition strict = condition(way_back(false, false, false, false, Family::kIpv4));
  CHECK(what<Fib>(strict.left) == Fib{NFT_FIB_RESULT_OIF, NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF});
  CHECK(strict.negate);
  CHECK_FALSE(condition(way_back(true, true, false, true, Family::kIpv4)).negate);
  AnyOf local = any_of(way_back(false, false, true, true, Family::kIpv4));
  CHECK(local.negate);
  CHECK(what<Fib>(local.conditions.at(1).left).flags == (NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF));
  local = any_of(way_back(false, false, true, false, Family::kIpv6));
  CHECK(what<Fib>(local.conditions.at(1).left).flags == NFTA_FIB_F_SADDR);
  CHECK(local.conditions.at(1).ranges.at(0).first == Bytes::host(2));
}

TEST_CASE("xt matches: groups realms processors and IPsec") {
  Condition made = condition(interface_group(true, 0x15, 0x0f, true));
  CHECK(what<Meta>(what<Bits>(made.left).of).key == NFT_META_IIFGROUP);
  CHECK(made.ranges.at(0).first == Bytes::host(5));
  CHECK(made.negate);
  CHECK(what<Meta>(condition(interface_group(false, 1, 0xffffffff, false)).left).key == NFT_META_OIFGROUP);
  CHECK(what<Meta>(condition(route_realm(1, 0xffffffff, true)).left).key == NFT_META_RTCLASSID);
  CHECK(what<Meta>(condition(processor(1, true)).left).key == NFT_META_CPU);
  CHECK(condition(cgroup_class(7, true)).negate);
  made = condition(ipsec(true, true));
  CHECK(what<Meta>(made.left).key == NFT_META_SECPATH);
  CHECK(ranges(made) == "00");
  made = condition(ipsec(false, false));
  CHECK(what<RouteField>(made.left).key == NFT_RT_XFRM);
  CHECK(ranges(made) == "01");
}

TEST_CASE("xt matches: sockets of any address count only when asked for") {
  CHECK(ranges(condition(socket_found(false))) == "00");
  CHECK(ranges(condition(socket_found(true))) == "00 01");
  CHECK(what<SocketField>(condition(socket_found(true)).left).key == NFT_SOCKET_WILDCARD);
  CHECK(what<SocketField>(condition(socket_transparent()).left).key == NFT_SOCKET_TRANSPARENT);
  CHECK(any_of(expected_connection(true)).negate);
}

}  // namespace
}  // namespace kubenatd::rules::walk::xt
