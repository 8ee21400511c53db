#include "netlink/host/local_routes.h"

#include <poll.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "netlink/host/addresses.h"
#include "netlink/host/surroundings.h"
#include "test/kernel/netlink/raw_rules.h"
#include "test/support/netns.h"
#include "test/support/process.h"

// What is local besides the addresses of interfaces; ip(8) makes it.
namespace kubenatd::netlink::host {
namespace {

using Texts = std::vector<std::string>;

rules::Address ip(const std::string& text) {
  return rules::Address::parse(text).value();
}

void sh(const std::string& command) {
  test::must_run({"sh", "-ec", command});
}

void make_node() {
  sh("ip link add eth0 type veth peer name far; ip link set eth0 up; ip link set far up;"
     "ip addr add 198.51.100.10/24 dev eth0; ip addr add fd00:1::10/64 dev eth0 nodad");
}

/// The carrier and the IPv6 address of a fresh link are told up to two seconds later: waits until they are there.
void settle() {
  sh("for i in $(seq 200); do ip -o link show eth0 | grep -q 'state UP' && [ -z \"$(ip -6 addr show tentative)\" ] && "
     "exit; "
     "sleep 0.05; done; exit 1");
}

/// Those that are not link-local.
Texts prefixes() {
  const auto addresses = local_addresses();
  REQUIRE(addresses);
  const auto found = local_prefixes(*addresses);
  if (!found) FAIL(found.error().to_string());
  Texts texts;
  for (const auto& prefix : *found)
    if (!prefix.to_string().starts_with("fe80::")) texts.push_back(prefix.to_string());
  return texts;
}

bool local(const std::string& address) {
  const auto answer = is_local(ip(address));
  if (!answer) FAIL(answer.error().to_string());
  return *answer;
}

bool readable(const AddressMonitor& monitor) {
  pollfd wanted{.fd = monitor.fd(), .events = POLLIN, .revents = 0};
  return poll(&wanted, 1, 0) == 1;
}

AddressMonitor open_monitor() {
  auto monitor = AddressMonitor::open();
  if (!monitor) FAIL(monitor.error().to_string());
  (void)monitor->drain();
  return std::move(*monitor);
}

}  // namespace

TEST_CASE("Local routes: single addresses and prefixes of both families, without what is on interfaces") {
  if (!test::enter_fresh_namespace()) return;
  make_node();
  CHECK(prefixes().empty());
  sh("ip route add local 203.0.113.5/32 dev eth0 proto 66; ip route add local 203.0.113.128/28 dev lo;"
     "ip -6 route add local 2001:db8::5/128 dev lo; ip -6 route add local 2001:db8:1::/64 dev lo;"
     "ip -6 route add anycast 2001:db8:2::/64 dev lo; ip route add local 198.51.100.10/32 dev lo metric 7");
  CHECK(prefixes() == Texts{"203.0.113.5/32", "203.0.113.128/28", "2001:db8::5/128", "2001:db8:1::/64"});
  for (const char* address : {"127.0.0.1", "127.9.9.9", "::1", "198.51.100.10", "fd00:1::10", "203.0.113.5",
                              "203.0.113.130", "2001:db8::5", "2001:db8:1::77"}) {
    INFO(address);
    CHECK(local(address));
  }
  for (const char* address : {"198.51.100.1", "198.51.100.255", "203.0.113.6", "203.0.113.144", "255.255.255.255",
                              "fd00:1::1", "2001:db8::6", "2001:db8:2::1"}) {
    INFO(address);
    CHECK_FALSE(local(address));
  }
  sh("ip route del local 203.0.113.5/32 dev eth0; ip -6 route del local 2001:db8:1::/64 dev lo");
  CHECK(prefixes() == Texts{"203.0.113.128/28", "2001:db8::5/128"});
  sh("ip route replace local 203.0.113.128/28 dev eth0; ip route add local 203.0.113.9/32 dev eth0");
  CHECK(prefixes() == Texts{"203.0.113.9/32", "203.0.113.128/28", "2001:db8::5/128"});
  sh("ip link set eth0 down");  // IPv4 keeps them
  CHECK(prefixes() == Texts{"203.0.113.9/32", "203.0.113.128/28", "2001:db8::5/128"});
  sh("ip link del eth0");  // and the address, but not its route by lo
  CHECK(prefixes() == Texts{"198.51.100.10/32", "2001:db8::5/128"});
}

TEST_CASE("Local routes: of another table they count as far as the kernel takes them") {
  if (!test::enter_fresh_namespace()) return;
  make_node();
  // Transparent proxies: everything is local to packets with a mark.
  sh("ip route add local 0.0.0.0/0 dev lo table 100; ip -6 route add local ::/0 dev lo table 100;"
     "ip route add local 203.0.113.16/28 dev lo table 100; ip -6 route add local 2001:db8:16::/64 dev lo table 100");
  CHECK(prefixes().empty());
  sh("ip route add local 203.0.113.5/32 dev lo table main; ip -6 route add local 2001:db8::5/128 dev lo table main");
  // The tables local and main are still one to IPv4.
  CHECK(prefixes() == Texts{"203.0.113.5/32", "2001:db8::5/128"});
  CHECK(local("203.0.113.5"));
  sh("ip rule add fwmark 1 lookup 100; ip -6 rule add fwmark 1 lookup 100");
  CHECK(prefixes() == Texts{"2001:db8::5/128"});
  CHECK_FALSE(local("203.0.113.5"));
  CHECK_FALSE(local("192.0.2.1"));
  CHECK_FALSE(local("2001:db8:16::1"));
  sh("ip rule add lookup 100; ip -6 rule add lookup 100");
  CHECK(prefixes() == Texts{"2001:db8::5/128", "2001:db8:16::/64"});
  CHECK_FALSE(local("203.0.113.17"));
  CHECK(local("2001:db8:16::1"));
}

TEST_CASE("Local routes: a longer route in a prefix leads elsewhere, and the node around the rules knows") {
  if (!test::enter_fresh_namespace()) return;
  make_node();
  sh("ip route add local 203.0.113.128/28 dev lo; ip route add 203.0.113.135/32 dev eth0;"
     "ip -6 route add local 2001:db8:1::/64 dev lo; ip -6 route add unreachable 2001:db8:1::9/128 table local");
  CHECK_FALSE(local("203.0.113.135"));
  CHECK_FALSE(local("2001:db8:1::9"));
  const auto v4 = live_surroundings(rules::Family::kIpv4, "").surroundings;
  CHECK(v4.is_local(ip("203.0.113.134")));
  CHECK_FALSE(v4.is_local(ip("203.0.113.135")));
  CHECK_FALSE(v4.is_local(ip("203.0.113.5")));
  const auto v6 = live_surroundings(rules::Family::kIpv6, "").surroundings;
  CHECK(v6.is_local(ip("2001:db8:1::8")));
  CHECK_FALSE(v6.is_local(ip("2001:db8:1::9")));
  // With the first rule of policy routing table main comes after table local.
  sh("ip rule add fwmark 1 lookup 100");
  CHECK(local("203.0.113.135"));
}

TEST_CASE("Local routes are followed: added, replaced and deleted, and rules of policy routing") {
  if (!test::enter_fresh_namespace()) return;
  make_node();
  settle();
  AddressMonitor monitor = open_monitor();
  for (const std::string change :
       {"route add local 203.0.113.5/32 dev eth0 proto 66", "route replace local 203.0.113.5/32 dev lo",
        "route replace unreachable 203.0.113.5/32 table local", "route del unreachable 203.0.113.5/32 table local",
        "route add local 203.0.113.128/28 dev lo table main", "route del local 203.0.113.128/28 dev lo table main",
        "-6 route add local 2001:db8::5/128 dev lo", "-6 route del local 2001:db8::5/128 dev lo",
        "rule add fwmark 1 lookup 100", "rule del fwmark 1 lookup 100", "-6 rule add fwmark 1 lookup 100",
        "link set eth0 down", "link del eth0"}) {
    INFO(change);
    sh("ip " + change);
    CHECK(readable(monitor));
    CHECK(monitor.drain());
    if (!change.starts_with("link")) CHECK_FALSE(monitor.drain());  // the other end's carrier is told later
  }
}

TEST_CASE("Local routes: thousands of other routes wake nobody and push nothing out") {
  if (!test::enter_fresh_namespace()) return;
  make_node();
  std::string batch;
  for (int i = 0; i < 20000; ++i)
    batch += "route replace 10." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ".0/24 dev eth0\n";
  for (int i = 0; i < 2000; ++i) batch += "route replace 2001:db8:" + std::to_string(i) + "::/48 dev eth0\n";
  AddressMonitor monitor = open_monitor();
  sh("ip route add local 203.0.113.5/32 dev eth0");
  test::ProcessOptions options;
  options.input = batch;
  const auto made = test::run({"ip", "-batch", "-"}, options);
  INFO(made.describe());
  REQUIRE(made.ok());
  // The one that counts was not lost, and nothing else is there to be read.
  CHECK(monitor.drain());
  settle();
  (void)monitor.drain();
  REQUIRE(test::run({"ip", "-batch", "-"}, options).ok());
  CHECK_FALSE(readable(monitor));
  CHECK_FALSE(monitor.drain());
  CHECK(prefixes() == Texts{"203.0.113.5/32"});
  sh("ip route del local 203.0.113.5/32 dev eth0");
  CHECK(readable(monitor));
  CHECK(monitor.drain());
}

}  // namespace kubenatd::netlink::host
