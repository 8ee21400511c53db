#include "netlink/host/routes.h"

#include <linux/rtnetlink.h>
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <optional>
#include <string>
#include <vector>

#include "netlink/host/addresses.h"
#include "netlink/host/libnl.h"
#include "netlink/host/neighbour.h"
#include "test/kernel/netlink/raw_rules.h"
#include "test/support/netns.h"

// Routes are made by ip(8).
namespace kubenatd::netlink {
namespace {

rules::Address ip(const std::string& text) {
  return rules::Address::parse(text).value();
}

void run_ip(const std::string& words) {
  test::must_run({"sh", "-c", "ip " + words});
}

std::optional<std::string> neighbour(const std::string& address) {
  const auto found = host::neighbour_interface(ip(address));
  if (!found) FAIL(found.error().to_string());
  return *found;
}

/// Asks the kernel for the way to an address, without any knowledge of what its errors mean.
rules::Error refused_route(const std::string& address) {
  auto socket = host::LibnlSocket::connect(NETLINK_ROUTE, "route to " + address);
  REQUIRE(socket);
  const host::LibnlMessage request(nlmsg_alloc_simple(RTM_GETROUTE, 0));
  const rules::Address to = ip(address);
  rtmsg question{};
  question.rtm_family = to.family == rules::Family::kIpv4 ? AF_INET : AF_INET6;
  question.rtm_dst_len = rules::bits_of(to.family);
  REQUIRE(nlmsg_append(request.get(), &question, sizeof question, NLMSG_ALIGNTO) == 0);
  REQUIRE(nla_put(request.get(), RTA_DST, static_cast<int>(to.octets().size()), to.octets().data()) == 0);
  REQUIRE(nl_send_auto(socket->get(), request.get()) > 0);
  const int error = nl_recvmsgs_default(socket->get());
  REQUIRE(error < 0);
  return socket->failure("ask", error).error();
}

}  // namespace

TEST_CASE("A neighbour's interface: on the link, behind a gateway, and where no route leads") {
  if (!test::enter_fresh_namespace()) return;
  run_ip(
      "link add name one type veth peer name other && ip link set one up && ip link set other up && ip addr add "
      "10.1.0.1/24 dev one && "
      "ip addr add fd00:1::1/64 dev one nodad");
  run_ip("route add 10.2.0.0/24 via 10.1.0.9 && ip -6 route add fd00:2::/64 via fd00:1::9");
  run_ip(
      "route add unreachable 10.3.0.0/24 && ip route add prohibit 10.4.0.0/24 && ip route add blackhole 10.5.0.0/24");
  run_ip(
      "-6 route add unreachable fd00:3::/64 && ip -6 route add prohibit fd00:4::/64 && "
      "ip -6 route add blackhole fd00:5::/64");
  CHECK(neighbour("10.1.0.77") == "one");
  CHECK(neighbour("fd00:1::77") == "one");
  for (const char* behind : {"10.2.0.1", "fd00:2::1"}) CHECK_FALSE(neighbour(behind));
  for (const char* no_route :
       {"10.9.9.9", "fd00:9::9", "10.3.0.1", "10.4.0.1", "10.5.0.1", "fd00:3::1", "fd00:4::1", "fd00:5::1"}) {
    INFO(no_route);
    CHECK_FALSE(neighbour(no_route));
  }
}

TEST_CASE("What the kernel refuses comes with its errno, and its explanation where it gives one") {
  if (!test::enter_fresh_namespace()) return;
  for (const char* address : {"192.0.2.1", "2001:db8::1"}) {
    const rules::Error error = refused_route(address);
    CHECK(error.code == ENETUNREACH);
    CHECK(error.to_string() == "route to " + std::string(address) + ": ask: Network is unreachable");
  }
  auto socket = host::LibnlSocket::connect(NETLINK_ROUTE, "route");
  REQUIRE(socket);
  CHECK(socket->refusal().code == 0);
  // A length that no destination has (fib_valid_key_len says it in words since Linux 4.12).
  const host::LibnlMessage request(nlmsg_alloc_simple(RTM_NEWROUTE, NLM_F_CREATE));
  rtmsg question{};
  question.rtm_family = AF_INET;
  question.rtm_dst_len = 33;
  question.rtm_table = RT_TABLE_MAIN;
  question.rtm_type = RTN_BLACKHOLE;
  REQUIRE(nlmsg_append(request.get(), &question, sizeof question, NLMSG_ALIGNTO) == 0);
  REQUIRE(nl_send_auto(socket->get(), request.get()) > 0);
  const auto callbacks = socket->make_callbacks(true);
  const int error = nl_recvmsgs(socket->get(), callbacks.get());
  REQUIRE(error < 0);
  CHECK(socket->refusal().code == EINVAL);
  CHECK(socket->refusal().explanation == "Invalid prefix length");
  CHECK(socket->failure("add", error).error().to_string() == "route: add: Invalid argument: Invalid prefix length");
}

TEST_CASE("A socket that cannot be opened says why") {
  if (!test::enter_fresh_namespace()) return;
  rlimit limit{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const rlimit none{0, limit.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  const auto routes = host::main_routes();
  const auto addresses = host::local_addresses();
  REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  REQUIRE_FALSE(routes);
  CHECK(routes.error().to_string() == "routes: open netlink socket: Too many open files");
  CHECK(routes.error().code == EMFILE);
  REQUIRE_FALSE(addresses);
  CHECK(addresses.error().code == EMFILE);
}

TEST_CASE("The routes of the main table, both families") {
  if (!test::enter_fresh_namespace()) return;
  run_ip(
      "link add name one type veth peer name other && ip link set one up && ip link set other up && ip addr add "
      "10.1.0.1/24 dev one && "
      "ip addr add fd00:1::1/64 dev one nodad && ip route add default via 10.1.0.9");
  const auto routes = host::main_routes();
  if (!routes) FAIL(routes.error().to_string());
  std::vector<std::string> seen;
  for (const host::Route& route : *routes) seen.push_back(route.destination.to_string() + " " + route.interface);
  for (const char* expected : {"10.1.0.0/24 one", "0.0.0.0/0 one", "fd00:1::/64 one"})
    CHECK_THAT(seen, Catch::VectorContains(std::string(expected)));
}

}  // namespace kubenatd::netlink
