#include "netlink/host/ipset.h"

#include <catch2/catch.hpp>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "test/kernel/netlink/raw_rules.h"
#include "test/support/netns.h"
#include "test/support/process.h"

// Sets are made by ipset(8).
namespace kubenatd::netlink::host {
namespace {

using rules::walk::InIpset;
using rules::walk::Packet;

rules::Address ip(const std::string& text) {
  return rules::Address::parse(text).value();
}

Packet packet(const std::string& source, const std::string& destination, std::uint16_t port,
              rules::Protocol protocol = rules::Protocol::kTcp) {
  Packet packet;
  packet.source = ip(source);
  packet.destination = ip(destination);
  packet.destination_port = port;
  packet.protocol = protocol;
  packet.in_interface = "eth0";
  return packet;
}

InIpset set(const std::string& name, const std::vector<bool>& source) {
  return {name, source, false, "-m set"};
}

bool enter_with_ipset() {
  if (!test::enter_fresh_namespace()) return false;
  if (test::run({"ipset", "--version"}).status == 127) {
    std::printf("SKIPPED: no program ipset\n");
    return false;
  }
  return true;
}

void restore(const std::string& lines) {
  test::must_run({"ipset", "restore"}, lines);
}

}  // namespace

TEST_CASE("ipset: sets of each type answer as they would for the packet") {
  if (!enter_with_ipset()) return;
  restore(
      "create ips hash:ip\nadd ips 10.1.0.7\n"
      "create by24 hash:ip netmask 24\nadd by24 10.3.0.0\n"
      "create nets hash:net\nadd nets 10.2.0.0/16\nadd nets 10.2.5.0/24 nomatch\n"
      "create ipport hash:ip,port\nadd ipport 10.2.0.5,tcp:80\nadd ipport 10.2.0.5,udp:53\n"
      "create netport hash:net,port\nadd netport 10.2.0.0/16,tcp:443\n"
      "create ipportip hash:ip,port,ip\nadd ipportip 10.1.0.7,tcp:80,10.2.0.5\n"
      "create ipportnet hash:ip,port,net\nadd ipportnet 10.1.0.7,tcp:80,10.2.0.0/16\n"
      "create iface hash:net,iface\nadd iface 10.1.0.0/16,eth0\n"
      "create bits bitmap:ip range 10.1.0.0/24\nadd bits 10.1.0.7\n"
      "create ports bitmap:port range 0-1000\nadd ports 80\n"
      "create six hash:ip family inet6\nadd six fd00::7\n");
  auto asker = IpsetAsker::open();
  REQUIRE(asker);
  const Packet web = packet("10.1.0.7", "10.2.0.5", 80);
  const auto has = [&](const std::string& name, const std::vector<bool>& source, const Packet& of) {
    return asker->has(set(name, source), of);
  };
  CHECK(has("ips", {true}, web) == true);
  CHECK(has("ips", {false}, web) == false);
  CHECK(has("ips", {true, false}, web) == true);  // further directions do not count
  CHECK(has("by24", {true}, packet("10.3.0.77", "10.2.0.5", 80)) == true);
  CHECK(has("by24", {true}, packet("10.3.1.77", "10.2.0.5", 80)) == false);
  CHECK(has("nets", {false}, web) == true);
  CHECK(has("nets", {false}, packet("10.1.0.7", "10.2.5.9", 80)) == false);
  CHECK(has("nets", {true}, web) == false);
  CHECK(has("ipport", {false, false}, web) == true);
  CHECK(has("ipport", {false, false}, packet("10.1.0.7", "10.2.0.5", 81)) == false);
  CHECK(has("ipport", {false, false}, packet("10.1.0.7", "10.2.0.5", 80, rules::Protocol::kUdp)) == false);
  CHECK(has("ipport", {false, false}, packet("10.1.0.7", "10.2.0.5", 53, rules::Protocol::kUdp)) == true);
  CHECK(has("ipport", {false}, web) == false);  // too few directions: the kernel's answer, too
  CHECK(has("netport", {false, false}, packet("10.1.0.7", "10.2.9.9", 443)) == true);
  CHECK(has("netport", {false, false}, web) == false);
  CHECK(has("ipportip", {true, false, false}, web) == true);
  CHECK(has("ipportip", {false, false, true}, web) == false);
  CHECK(has("ipportnet", {true, false, false}, web) == true);
  CHECK(has("bits", {true}, web) == true);
  CHECK(has("bits", {false}, web) == false);  // outside of its range
  CHECK(has("ports", {false}, web) == true);
  CHECK(has("ports", {false}, packet("10.1.0.7", "10.2.0.5", 81)) == false);
  CHECK(has("ports", {false}, packet("10.1.0.7", "10.2.0.5", 8080)) == false);
  CHECK(has("iface", {true, true}, web) == true);
  Packet elsewhere = web;
  elsewhere.in_interface = "eth1";
  CHECK(has("iface", {true, true}, elsewhere) == false);
  elsewhere.in_interface.clear();
  CHECK(!has("iface", {true, true}, elsewhere));
  CHECK(!has("iface", {true, false}, web));

  CHECK(has("six", {true}, packet("fd00::7", "fd00::9", 80)) == true);
  CHECK(has("six", {true}, packet("fd00::8", "fd00::9", 80)) == false);
  CHECK(has("six", {true}, web) == false);  // of the other family
  CHECK(!has("nosuch", {true}, web));
  CHECK(!has(std::string(64, 'x'), {true}, web));
}

TEST_CASE("ipset: a list of sets, a set by its number, and a source port that is not given") {
  if (!enter_with_ipset()) return;
  restore(
      "create ips hash:ip\nadd ips 10.1.0.7\n"
      "create nets hash:net\nadd nets 10.2.0.0/16\n"
      "create both list:set\nadd both ips\nadd both nets\n"
      "create empty list:set\n"
      "create ports hash:ip,port\nadd ports 10.1.0.7,tcp:40000\n"
      "create macs bitmap:ip,mac range 10.1.0.0/24\nadd macs 10.1.0.7,02:00:00:00:00:07\n");
  auto asker = IpsetAsker::open();
  REQUIRE(asker);
  Packet web = packet("10.1.0.7", "10.9.0.5", 80);
  CHECK(asker->has(set("both", {true}), web) == true);
  CHECK(asker->has(set("both", {false}), web) == false);
  CHECK(asker->has(set("empty", {true}), web) == false);
  CHECK(!asker->has(set("macs", {true, true}), web));

  CHECK(asker->has(set("#0", {true}), web) == true);
  CHECK(asker->has(set("#1", {false}), web) == false);
  CHECK(!asker->has(set("#77", {true}), web));
  CHECK(!asker->has(set("#", {true}), web));
  CHECK(!asker->has(set("#1x", {true}), web));

  CHECK(asker->has(set("ports", {true, true}), web) == true);
  web.source_port_known = false;
  CHECK(!asker->has(set("ports", {true, true}), web));
}

}  // namespace kubenatd::netlink::host
