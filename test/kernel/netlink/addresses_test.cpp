#include "netlink/host/addresses.h"

#include <linux/rtnetlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <poll.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "netlink/host/libnl.h"
#include "test/support/netns.h"

namespace kubenatd::netlink {
namespace {

constexpr int kLoopback = 1;  // index of lo in a fresh namespace

rules::Address ip(const std::string& text) {
  return rules::Address::parse(text).value();
}

/// Adds ("10.0.0.1/24") to lo, or deletes it. `peer` makes a point-to-point address.
bool change_address(nl_sock* socket, const std::string& text, bool add, const std::string& peer = {}) {
  const std::unique_ptr<rtnl_addr, decltype(&rtnl_addr_put)> entry(rtnl_addr_alloc(), &rtnl_addr_put);
  nl_addr* local = nullptr;
  if (nl_addr_parse(text.c_str(), AF_UNSPEC, &local) < 0) return false;
  rtnl_addr_set_ifindex(entry.get(), kLoopback);
  rtnl_addr_set_local(entry.get(), local);
  nl_addr_put(local);
  if (!peer.empty()) {
    nl_addr* other = nullptr;
    if (nl_addr_parse(peer.c_str(), AF_UNSPEC, &other) < 0) return false;
    rtnl_addr_set_peer(entry.get(), other);
    nl_addr_put(other);
  }
  return (add ? rtnl_addr_add(socket, entry.get(), 0) : rtnl_addr_delete(socket, entry.get(), 0)) == 0;
}

bool readable(int fd, int milliseconds) {
  pollfd wanted{.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&wanted, 1, milliseconds) == 1;
}

}  // namespace

TEST_CASE("local addresses: both families, sorted, without doubles") {
  if (!test::enter_fresh_namespace()) return;
  rules::Result<host::LibnlSocket> socket = host::LibnlSocket::connect(NETLINK_ROUTE, "test");
  REQUIRE(socket);
  REQUIRE(change_address(socket->get(), "192.168.77.2/24", true));
  REQUIRE(change_address(socket->get(), "192.168.77.2/16", true));  // the same address with another length
  REQUIRE(change_address(socket->get(), "10.9.9.1/32", true, "10.9.9.2/32"));
  REQUIRE(change_address(socket->get(), "fd00:77::2/64", true));

  const rules::Result<std::vector<rules::Address>> addresses = host::local_addresses();
  REQUIRE(addresses);
  std::vector<rules::Address> expected{ip("127.0.0.1"), ip("192.168.77.2"), ip("10.9.9.1"), ip("::1"),
                                       ip("fd00:77::2")};
  std::ranges::sort(expected);
  CHECK(*addresses == expected);
}

TEST_CASE("local addresses: more than one message can hold") {
  if (!test::enter_fresh_namespace()) return;
  rules::Result<host::LibnlSocket> socket = host::LibnlSocket::connect(NETLINK_ROUTE, "test");
  REQUIRE(socket);
  constexpr int kMany = 1500;
  for (int i = 0; i < kMany; ++i)
    REQUIRE(
        change_address(socket->get(), "10.7." + std::to_string(i / 250) + "." + std::to_string(i % 250) + "/32", true));
  const rules::Result<std::vector<rules::Address>> addresses = host::local_addresses();
  REQUIRE(addresses);
  CHECK(addresses->size() == kMany + 2);  // and 127.0.0.1, ::1
}

TEST_CASE("address monitor: addresses and links that come and go are told, other things are not") {
  if (!test::enter_fresh_namespace()) return;
  rules::Result<host::AddressMonitor> opened = host::AddressMonitor::open();
  REQUIRE(opened);
  host::AddressMonitor monitor = std::move(*opened);
  rules::Result<host::LibnlSocket> socket = host::LibnlSocket::connect(NETLINK_ROUTE, "test");
  REQUIRE(socket);
  (void)monitor.drain();
  CHECK_FALSE(monitor.drain());

  SECTION("IPv4 address") {
    REQUIRE(change_address(socket->get(), "192.168.77.2/24", true));
    REQUIRE(readable(monitor.fd(), 5000));
    CHECK(monitor.drain());
    CHECK_FALSE(monitor.drain());
    REQUIRE(change_address(socket->get(), "192.168.77.2/24", false));
    REQUIRE(readable(monitor.fd(), 5000));
    CHECK(monitor.drain());
  }
  SECTION("IPv6 address") {
    REQUIRE(change_address(socket->get(), "fd00:77::2/64", true));
    REQUIRE(readable(monitor.fd(), 5000));
    CHECK(monitor.drain());
  }
  SECTION("a link changes state") {
    std::unique_ptr<rtnl_link, decltype(&rtnl_link_put)> link(rtnl_link_alloc(), &rtnl_link_put);
    std::unique_ptr<rtnl_link, decltype(&rtnl_link_put)> change(rtnl_link_alloc(), &rtnl_link_put);
    rtnl_link_set_ifindex(link.get(), kLoopback);
    rtnl_link_unset_flags(change.get(), IFF_UP);
    REQUIRE(rtnl_link_change(socket->get(), link.get(), change.get(), 0) == 0);
    REQUIRE(readable(monitor.fd(), 5000));
    CHECK(monitor.drain());
  }
  SECTION("reading addresses is no event") {
    REQUIRE(host::local_addresses());
    CHECK_FALSE(readable(monitor.fd(), 0));
    CHECK_FALSE(monitor.drain());
  }
}

TEST_CASE("address monitor: lost events count as a change, and it goes on afterwards") {
  if (!test::enter_fresh_namespace()) return;
  rules::Result<host::AddressMonitor> monitor = host::AddressMonitor::open();
  REQUIRE(monitor);
  rules::Result<host::LibnlSocket> socket = host::LibnlSocket::connect(NETLINK_ROUTE, "test");
  REQUIRE(socket);
  // More than the receive buffer can hold.
  for (int i = 0; i < 3000; ++i) REQUIRE(change_address(socket->get(), "192.168.77.2/24", i % 2 == 0));
  CHECK(monitor->drain());
  CHECK_FALSE(monitor->drain());
  REQUIRE(change_address(socket->get(), "192.168.77.3/24", true));
  REQUIRE(readable(monitor->fd(), 5000));
  CHECK(monitor->drain());
}

}  // namespace kubenatd::netlink
