#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "netlink/host/addresses.h"
#include "netlink/host/local_routes.h"
#include "netlink/host/surroundings.h"
#include "test/kernel/walk/packet_node.h"
#include "test/kernel/walk/random_packets.h"
#include "test/support/netns.h"

/// Random routes of all types in several tables, and rules of policy routing: what netlink::host takes for local,
/// beside what `fib daddr type local` and `-m addrtype --dst-type LOCAL` decide on real packets.
namespace kubenatd::test {
namespace {

using rules::Address;
using rules::Family;

constexpr int kSeeds = 10;
constexpr int kAddresses = 24;

/// Of the blocks 203.0.113.0/24 and 2001:db8::/120.
std::string text_of(Family family, unsigned host) {
  return family == Family::kIpv4 ? fmt::format("203.0.113.{}", host) : fmt::format("2001:db8::{:x}", host);
}

/// Makes routes, some of which are refused as they stand already, and takes some away.
void make_routes(Dice& dice, Family family) {
  const bool ipv4 = family == Family::kIpv4;
  std::string batch;
  const std::vector<std::string> types{"local", "local", "local", "unicast", "blackhole", "unreachable", "anycast"};
  const std::vector<std::string> tables{"local", "local", "local", "main", "main", "100"};
  for (int i = 0; i < 14; ++i) {
    const unsigned length = 26 + dice.below(7);
    const unsigned host = dice.below(256) & (0xffU << (32 - length));
    std::string type = dice.of(types);
    if (ipv4 && type == "anycast") type = "broadcast";
    const bool has_device = type != "blackhole" && type != "unreachable";
    const std::string route = fmt::format(
        "{} {}/{} {} table {}", type, text_of(family, host), ipv4 ? length : length + 96,
        has_device ? fmt::format("dev {}", dice.one_in(2) ? "lo" : PacketNode::kExternal) : "", dice.of(tables));
    batch += std::string("route ") + (dice.one_in(4) ? "replace " : "add ") + route + "\n";
    if (dice.one_in(5)) batch += "route del " + route + "\n";
  }
  ProcessOptions options;
  options.input = batch;
  (void)run({"ip", "-force", "-batch", "-"}, options);
}

void make_rules(Dice& dice, Family family) {
  const std::vector<std::string> rules{
      "fwmark 1 lookup 100", "lookup 100 pref 10", "iif lo lookup 100 pref 20",
      "to " + text_of(family, 0) + (family == Family::kIpv4 ? "/25" : "/121") + " lookup 100 pref 30",
      "iif pod0 lookup 100 pref 5"};
  for (const std::string& rule : rules)
    if (dice.one_in(3))
      REQUIRE(run({"sh", "-ec", fmt::format("ip {} rule add {}", family == Family::kIpv4 ? "-4" : "-6", rule)}).ok());
}

/// Sets in which packets to local addresses leave their destination: by nft's fib, and by addrtype, which marks them.
void make_judges() {
  ProcessOptions options;
  options.input =
      "table inet judge {\n"
      "  set fib4 { type ipv4_addr; flags dynamic; }\n  set fib6 { type ipv6_addr; flags dynamic; }\n"
      "  set xt4 { type ipv4_addr; flags dynamic; }\n  set xt6 { type ipv6_addr; flags dynamic; }\n"
      "  chain judge {\n    type filter hook prerouting priority -290;\n"
      "    ip daddr 203.0.113.0/24 fib daddr type local add @fib4 { ip daddr }\n"
      "    ip6 daddr 2001:db8::/120 fib daddr type local add @fib6 { ip6 daddr }\n"
      "    meta mark 0x8000 ip daddr 203.0.113.0/24 add @xt4 { ip daddr }\n"
      "    meta mark 0x8000 ip6 daddr 2001:db8::/120 add @xt6 { ip6 daddr }\n"
      "    meta mark set 0\n  }\n}\n";
  const auto made = run({"nft", "-f", "-"}, options);
  INFO(made.describe());
  REQUIRE(made.ok());
  for (const char* program : {"iptables-nft", "ip6tables-nft"}) {
    const auto rule = run({program, "-t", "raw", "-A", "PREROUTING", "-m", "addrtype", "--dst-type", "LOCAL", "-j",
                           "MARK", "--set-mark", "0x8000"});
    INFO(rule.describe());
    REQUIRE(rule.ok());
  }
}

bool holds(const std::string& set, const Address& address) {
  return run({"nft", "get", "element", "inet", "judge", set, "{ " + address.to_string() + " }"}).ok();
}

void compare(unsigned seed, Family family) {
  Dice dice(seed);
  PacketNode node;
  make_judges();
  make_routes(dice, family);
  if (dice.one_in(2)) make_rules(dice, family);
  if (dice.one_in(2)) make_routes(dice, family);
  const auto listing = run({"sh", "-c",
                            fmt::format("ip {0} rule; ip {0} route show table all | grep -e 203.0.113 -e 2001:db8",
                                        family == Family::kIpv4 ? "-4" : "-6")})
                           .out;
  const auto addresses = netlink::host::local_addresses();
  REQUIRE(addresses);
  const auto prefixes = netlink::host::local_prefixes(*addresses);
  REQUIRE(prefixes);
  const auto surroundings = netlink::host::live_surroundings(family, PacketNode::kExternal).surroundings;

  for (int i = 0; i < kAddresses; ++i) {
    rules::walk::Packet packet;
    packet.protocol = rules::Protocol::kUdp;
    packet.destination = Address::parse(text_of(family, 1 + dice.below(254))).value();
    packet.source = Address::parse(family == Family::kIpv4 ? "192.168.77.100" : "fd00:77::100").value();
    packet.destination_port = 30053;
    packet.in_interface = PacketNode::kExternal;
    (void)node.send(packet);
    const std::string digit = family == Family::kIpv4 ? "4" : "6";
    const bool by_fib = holds("fib" + digit, packet.destination);
    const bool by_addrtype = holds("xt" + digit, packet.destination);
    const auto ours = netlink::host::is_local(packet.destination);
    INFO("seed " << seed << ", " << packet.destination.to_string() << "\n" << listing);
    REQUIRE(ours);
    CHECK(*ours == by_addrtype);
    CHECK(surroundings.is_local(packet.destination) == by_addrtype);
    bool in_prefix = false;
    bool is_first = false;
    for (const rules::Prefix& prefix : *prefixes) {
      in_prefix = in_prefix || prefix.contains(packet.destination);
      is_first = is_first || (family == Family::kIpv6 && prefix.length < 127 && prefix.address == packet.destination);
    }
    CHECK((in_prefix || !by_addrtype));
    if (!is_first || by_fib) CHECK(*ours == by_fib);
  }
}

TEST_CASE("what is local by routes of all tables is what the kernel decides on packets") {
  if (const auto missing = tunnels_missing()) {
    std::printf("SKIPPED: %s\n", missing->c_str());
    return;
  }
  const char* given = std::getenv("KUBENATD_TEST_SEED");
  const unsigned first = given != nullptr ? static_cast<unsigned>(std::atoi(given)) : 1;
  const unsigned last = given != nullptr ? first : kSeeds;
  for (unsigned seed = first; seed <= last; ++seed)
    for (const Family family : rules::kFamilies) {
      if (!enter_fresh_namespace()) return;
      compare(seed, family);
    }
}

}  // namespace
}  // namespace kubenatd::test
