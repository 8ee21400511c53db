#include <linux/bpf.h>
#include <net/if.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "netlink/host/interfaces.h"
#include "netlink/host/ipsec.h"
#include "netlink/host/route_question.h"
#include "netlink/host/surroundings.h"
#include "netlink/host/switches.h"
#include "test/kernel/netlink/raw_rules.h"
#include "test/support/linux_release.h"
#include "test/support/netns.h"
#include "test/support/process.h"

// What the kernel knows of the node; ip(8) and tc(8) make it.
namespace kubenatd::netlink::host {
namespace {

using rules::Family;
using rules::walk::RouteAnswer;
using rules::walk::RouteQuestion;
using Kind = rules::walk::RouteAnswer::Kind;

rules::Address ip(const std::string& text) {
  return rules::Address::parse(text).value();
}

void sh(const std::string& command) {
  test::must_run({"sh", "-ec", command});
}

void set(const std::string& name, const std::string& value) {
  std::ofstream file("/proc/sys/net/" + name);
  file << value;
  file.close();
  REQUIRE(file.good());
}

/// Two networks, "in" and "out", each with a neighbour that answers nothing.
void make_node() {
  sh("ip link add name in type veth peer name in-far; ip link add name out type veth peer name out-far;"
     "for l in in in-far out out-far; do ip link set $l up; done;"
     "ip addr add 10.1.0.1/24 dev in; ip addr add 10.2.0.1/24 dev out;"
     "ip addr add fd00:1::1/64 dev in nodad; ip addr add fd00:2::1/64 dev out nodad");
  set("ipv4/ip_forward", "1");
  set("ipv6/conf/all/forwarding", "1");
  for (const char* name : {"all", "in", "out"}) set("ipv4/conf/" + std::string(name) + "/rp_filter", "0");
}

RouteAnswer ask(const RouteQuestion& question) {
  auto asker = RouteAsker::open();
  REQUIRE(asker);
  return asker->ask(question);
}

RouteQuestion arriving(const std::string& source, const std::string& destination, std::uint32_t mark = 0) {
  return {ip(destination), ip(source), "in", mark, 0};
}

RouteQuestion sent(const std::string& destination) {
  return {ip(destination), std::nullopt, std::nullopt, 0, 0};
}

bool names(const std::vector<rules::walk::NotLookedAt>& list, const std::string& part) {
  for (const auto& one : list)
    if (one.what.find(part) != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_CASE("The kernel's route: local, forwarded, by a gateway, to everybody") {
  if (!test::enter_fresh_namespace()) return;
  make_node();
  sh("ip route add 10.9.0.0/16 via 10.2.0.9; ip -6 route add fd00:9::/64 via fd00:2::9");

  CHECK(ask(arriving("10.1.0.7", "10.1.0.1")).kind == Kind::kLocal);
  CHECK(ask(arriving("fd00:1::7", "fd00:2::1")).kind == Kind::kLocal);
  CHECK(ask(sent("127.0.0.1")).kind == Kind::kLocal);
  CHECK(ask(sent("10.2.0.1")).kind == Kind::kLocal);

  const RouteAnswer near = ask(arriving("10.1.0.7", "10.2.0.5"));
  CHECK(near.kind == Kind::kForward);
  CHECK(near.interface == "out");
  CHECK(!near.gateway);
  CHECK(!near.source_refused);

  const RouteAnswer far = ask(sent("10.9.1.1"));
  CHECK(far.kind == Kind::kForward);
  CHECK(far.interface == "out");
  CHECK(far.gateway == ip("10.2.0.9"));
  CHECK(far.source == ip("10.2.0.1"));
  const RouteAnswer far6 = ask(arriving("fd00:1::7", "fd00:9::1"));
  CHECK(far6.kind == Kind::kForward);
  CHECK(far6.interface == "out");
  CHECK(far6.gateway == ip("fd00:2::9"));

  CHECK(ask(arriving("10.1.0.7", "10.1.0.255")).kind == Kind::kBroadcast);
  // A transparent socket sends with the source of somebody else, to whom no route need lead.
  CHECK(ask({ip("10.2.0.5"), ip("192.0.2.1"), std::nullopt, 0, 0}).interface == "out");
  CHECK(ask({ip("10.99.0.1"), ip("192.0.2.1"), std::nullopt, 0, 0}).kind == Kind::kNone);
  CHECK(ask({ip("10.99.0.1"), ip("10.1.0.1"), std::nullopt, 0, 0}).kind == Kind::kNone);
}

TEST_CASE("The kernel's route: none and those of other types, each by its name, for packets of both kinds") {
  if (!test::enter_fresh_namespace()) return;
  make_node();
  sh("ip route add unreachable 10.7.0.0/16; ip route add prohibit 10.8.0.0/16; ip route add blackhole 10.6.0.0/16;"
     "ip -6 route add unreachable fd00:7::/64; ip -6 route add prohibit fd00:8::/64;"
     "ip -6 route add blackhole fd00:6::/64");
  const auto check = [](const std::string& destination, const std::string& source, Kind kind) {
    INFO(destination);
    const RouteAnswer passing = ask(arriving(source, destination));
    CHECK(passing.kind == kind);
    CHECK(!passing.source_refused);
    CHECK(passing.interface.empty());
    CHECK(ask(sent(destination)).kind == kind);
  };
  check("10.99.0.1", "10.1.0.7", Kind::kNone);
  check("10.7.0.1", "10.1.0.7", Kind::kUnreachable);
  check("10.8.0.1", "10.1.0.7", Kind::kProhibit);
  check("10.6.0.1", "10.1.0.7", Kind::kBlackhole);
  check("fd00:99::1", "fd00:1::7", Kind::kNone);
  check("fd00:7::1", "fd00:1::7", Kind::kUnreachable);
  check("fd00:8::1", "fd00:1::7", Kind::kProhibit);
  check("fd00:6::1", "fd00:1::7", Kind::kBlackhole);

  SECTION("An interface that does not forward hides none of them") {
    set("ipv4/ip_forward", "0");
    CHECK(ask(arriving("10.1.0.7", "10.99.0.1")).kind == Kind::kNone);
    CHECK(ask(arriving("10.1.0.7", "10.7.0.1")).kind == Kind::kUnreachable);
    CHECK(ask(arriving("10.1.0.7", "10.8.0.1")).kind == Kind::kProhibit);
    CHECK(ask(arriving("10.1.0.7", "10.6.0.1")).kind == Kind::kBlackhole);
    const RouteAnswer forwarded = ask(arriving("10.1.0.7", "10.2.0.5"));
    CHECK(forwarded.kind == Kind::kForward);
    CHECK(forwarded.interface == "out");
  }
  SECTION("An interface that is not there") {
    RouteQuestion question = arriving("10.1.0.7", "10.2.0.5");
    question.in_interface = "nosuch";
    CHECK(ask(question).kind == Kind::kUnknown);
  }
}

TEST_CASE("A source that the kernel does not take: reverse path filter, the node's own, loopback") {
  if (!test::enter_fresh_namespace()) return;
  make_node();
  sh("ip route add 10.55.0.0/16 via 10.2.0.9");
  CHECK(!ask(arriving("10.55.0.7", "10.2.0.5")).source_refused);
  set("ipv4/conf/in/rp_filter", "1");
  const RouteAnswer filtered = ask(arriving("10.55.0.7", "10.2.0.5"));
  CHECK(filtered.source_refused);
  CHECK(filtered.kind == Kind::kForward);
  CHECK(filtered.interface == "out");
  CHECK(ask(arriving("10.55.0.7", "10.1.0.1")).source_refused);
  CHECK(ask(arriving("10.55.0.7", "10.1.0.1")).kind == Kind::kLocal);
  CHECK(!ask(arriving("10.1.0.7", "10.2.0.5")).source_refused);
  set("ipv4/conf/in/rp_filter", "2");
  CHECK(!ask(arriving("10.55.0.7", "10.2.0.5")).source_refused);
  CHECK(ask(arriving("10.77.0.7", "10.2.0.5")).source_refused);

  set("ipv4/conf/in/rp_filter", "0");
  CHECK(ask(arriving("10.2.0.1", "10.1.0.1")).source_refused);
  CHECK(ask(arriving("127.0.0.1", "10.1.0.1")).source_refused);
}

TEST_CASE("Policy routing: a mark decides, and what is not in the question leaves the route unknown") {
  if (!test::enter_fresh_namespace()) return;
  make_node();
  sh("ip rule add fwmark 0x10/0x10 table 100; ip route add default via 10.2.0.9 table 100");
  CHECK(ask(arriving("10.1.0.7", "10.99.0.1")).kind == Kind::kNone);
  const RouteAnswer marked = ask(arriving("10.1.0.7", "10.99.0.1", 0x10));
  CHECK(marked.kind == Kind::kForward);
  CHECK(marked.gateway == ip("10.2.0.9"));

  RouteQuestion unsure = arriving("10.1.0.7", "10.99.0.1");
  unsure.unknown_mark = 0x10;
  CHECK(ask(unsure).kind == Kind::kUnknown);
  unsure.unknown_mark = 0x4000;
  CHECK(ask(unsure).kind == Kind::kNone);
  unsure.unknown_mark = 0x10;
  unsure.destination = ip("10.2.0.5");
  CHECK(ask(unsure).kind == Kind::kUnknown);  // the way is another one: by the gateway, or to the neighbour

  // The interface is not known: asked as the node's own packet, as long as no rule looks at where it comes from.
  RouteQuestion somewhere = arriving("10.1.0.7", "10.2.0.5");
  somewhere.in_interface = "";
  CHECK(ask(somewhere).interface == "out");
  sh("ip rule add from 10.77.0.0/16 table 100");
  CHECK(ask(somewhere).kind == Kind::kUnknown);
  CHECK(ask(arriving("10.1.0.7", "10.2.0.5")).interface == "out");

  sh("ip rule add ipproto tcp dport 80 table 100");
  CHECK(ask(arriving("10.1.0.7", "10.2.0.5")).kind == Kind::kUnknown);
  CHECK(ask(arriving("fd00:1::7", "fd00:2::5")).kind == Kind::kForward);
}

TEST_CASE("Several next hops: by addresses the kernel says which, by ports nobody can") {
  if (!test::enter_fresh_namespace()) return;
  make_node();
  sh("ip route add 10.9.0.0/16 nexthop via 10.1.0.9 dev in nexthop via 10.2.0.9 dev out");
  set("ipv4/fib_multipath_hash_policy", "0");
  CHECK(!ask(sent("10.9.0.1")).interface.empty());
  set("ipv4/fib_multipath_hash_policy", "1");
  const RouteAnswer open = ask(sent("10.9.0.1"));
  CHECK(open.kind == Kind::kForward);
  CHECK(open.interface.empty());
  CHECK(ask(sent("10.2.0.5")).interface == "out");
}

TEST_CASE("A next hop that does not answer is told") {
  if (!test::enter_fresh_namespace()) return;
  make_node();
  sh("ip neigh add 10.2.0.5 dev out nud failed; ip neigh add 10.2.0.6 lladdr 02:00:00:00:00:06 dev out;"
     "ip neigh add 10.2.0.9 dev out nud failed; ip route add 10.9.0.0/16 via 10.2.0.9");
  CHECK(ask(sent("10.2.0.5")).neighbour_failed);
  CHECK(ask(sent("10.9.0.1")).neighbour_failed);
  CHECK(!ask(sent("10.2.0.6")).neighbour_failed);
  CHECK(!ask(sent("10.2.0.7")).neighbour_failed);
}

TEST_CASE("Switches: of the interface, of the node, and the stricter of both") {
  if (!test::enter_fresh_namespace()) return;
  make_node();
  CHECK(forwards(Family::kIpv4, "in") == true);
  set("ipv4/conf/in/forwarding", "0");
  CHECK(forwards(Family::kIpv4, "in") == false);
  CHECK(forwards(Family::kIpv4, "") == true);
  CHECK(forwards(Family::kIpv6, "in") == true);
  set("ipv6/conf/all/forwarding", "0");
  CHECK(forwards(Family::kIpv6, "in") == false);
  CHECK(!forwards(Family::kIpv4, "nosuch"));

  CHECK(routes_localnet("in") == false);
  set("ipv4/conf/in/route_localnet", "1");
  CHECK(routes_localnet("in") == true);
  CHECK(routes_localnet("out") == false);
  set("ipv4/conf/all/route_localnet", "1");
  CHECK(routes_localnet("out") == true);
  CHECK(!routes_localnet("../all"));

  set("ipv4/conf/in/rp_filter", "2");
  set("ipv4/conf/all/rp_filter", "1");
  CHECK(reverse_path_filter("in") == 2);
  CHECK(reverse_path_filter("out") == 1);

  // A name with a dot is a folder of that name.
  sh("ip link add name in.5 type veth peer name in.6");
  set("ipv4/conf/in.5/rp_filter", "2");
  CHECK(reverse_path_filter("in.5") == 2);
}

TEST_CASE("Interfaces: index, group, type, kind, and ports of bridges that hand frames to iptables") {
  if (!test::enter_fresh_namespace()) return;
  make_node();
  sh("ip link add br0 type bridge; ip link set out master br0; ip link set in group 7");
  const auto links = read_links();
  REQUIRE(links);
  CHECK(links->at("lo").facts.type == 772);  // ARPHRD_LOOPBACK
  CHECK(links->at("in").facts.type == 1);    // ARPHRD_ETHER
  CHECK(links->at("in").facts.group == 7);
  CHECK(links->at("in").facts.kind == "veth");
  CHECK(links->at("br0").facts.kind == "bridge");
  CHECK(links->at("out").master == links->at("br0").facts.index);
  CHECK(links->at("out").master_kind == "bridge");

  set("bridge/bridge-nf-call-iptables", "0");
  {
    const LiveNode node = live_surroundings(Family::kIpv4, "in");
    CHECK(node.surroundings.is_bridge_port_filtered("out") == false);
    CHECK(node.surroundings.is_bridge_port_filtered("in") == false);
    CHECK(!node.surroundings.is_bridge_port_filtered("nosuch"));
    CHECK(node.surroundings.interface_facts("in")->group == 7);
    CHECK(!node.surroundings.interface_facts("nosuch"));
  }
  sh("ip link set br0 type bridge nf_call_iptables 1");
  CHECK(live_surroundings(Family::kIpv4, "in").surroundings.is_bridge_port_filtered("out") == true);
  CHECK(live_surroundings(Family::kIpv6, "in").surroundings.is_bridge_port_filtered("out") ==
        bridges_call_iptables(Family::kIpv6));
  set("bridge/bridge-nf-call-iptables", "1");
  CHECK(live_surroundings(Family::kIpv4, "in").surroundings.is_bridge_port_filtered("out") == true);
  CHECK(live_surroundings(Family::kIpv4, "in").surroundings.is_bridge_port_filtered("in") == false);
}

TEST_CASE("Filters of traffic control are told where they hang, and a qdisc without any is not") {
  if (!test::enter_fresh_namespace()) return;
  make_node();
  CHECK(programs_on("in", false).empty());
  sh("tc qdisc add dev in clsact");
  CHECK(programs_on("in", false).empty());
  sh("tc filter add dev in ingress protocol all bpf bytecode '1,6 0 0 4294967295'");
  CHECK(names(programs_on("in", false), "filters of traffic control for packets that arrive at in"));
  CHECK(programs_on("in", true).empty());
  CHECK(programs_on("out", false).empty());
  sh("tc qdisc add dev out clsact; tc filter add dev out egress protocol all bpf bytecode '1,6 0 0 4294967295'");
  CHECK(names(programs_on("out", true), "filters of traffic control for packets that leave by out"));
  CHECK(programs_on("out", false).empty());
  CHECK(programs_on("nosuch", false).empty());

  CHECK(names(live_surroundings(Family::kIpv4, "in").not_looked_at, "arrive at in"));
  CHECK(live_surroundings(Family::kIpv4, "out").not_looked_at.empty());
  CHECK(live_surroundings(Family::kIpv4, "").not_looked_at.empty());
}

TEST_CASE("Programs of XDP and of tcx are told") {
  if (!test::enter_fresh_namespace()) return;
  make_node();
  // A link ends with its descriptor.
  const auto attach = [](bpf_prog_type type, std::uint32_t attach_type, std::int32_t verdict) {
    const bpf_insn program[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, verdict}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    bpf_attr load;
    std::memset(&load, 0, sizeof load);
    load.prog_type = type;
    load.insns = reinterpret_cast<std::uintptr_t>(program);
    load.insn_cnt = 2;
    load.license = reinterpret_cast<std::uintptr_t>("GPL");
    const auto loaded = static_cast<int>(::syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load));
    REQUIRE(loaded >= 0);
    bpf_attr link;
    std::memset(&link, 0, sizeof link);
    link.link_create.prog_fd = static_cast<std::uint32_t>(loaded);
    link.link_create.target_ifindex = ::if_nametoindex("in");
    link.link_create.attach_type = attach_type;
    const auto attached = static_cast<int>(::syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof link));
    REQUIRE(attached >= 0);
    ::close(loaded);
    return test::Descriptor(attached);
  };
  {
    const auto xdp = attach(BPF_PROG_TYPE_XDP, BPF_XDP, 2);  // XDP_PASS
    CHECK(names(programs_on("in", false), "an XDP program for packets that arrive at in"));
    CHECK(programs_on("in", true).empty());
    CHECK(programs_on("out", false).empty());
  }
  KUBENATD_NEEDS_LINUX(6, 6, "tcx; XDP is right");
  constexpr std::uint32_t kTcxIngress = 46;  // 6.6; older headers have no name for it
  constexpr std::uint32_t kTcxEgress = 47;
  {
    const auto tcx = attach(BPF_PROG_TYPE_SCHED_CLS, kTcxIngress, 0);
    CHECK(names(programs_on("in", false), "BPF programs of traffic control for packets that arrive at in"));
    CHECK(programs_on("in", true).empty());
  }
  const auto tcx = attach(BPF_PROG_TYPE_SCHED_CLS, kTcxEgress, 0);
  CHECK(names(programs_on("in", true), "BPF programs of traffic control for packets that leave by in"));
  CHECK(programs_on("in", false).empty());
}

TEST_CASE("Policies of IPsec are counted") {
  if (!test::enter_fresh_namespace()) return;
  const auto none = has_ipsec_policies();
  REQUIRE(none);
  CHECK(!*none);
  sh("ip xfrm policy add src 10.1.0.0/24 dst 10.2.0.0/24 dir fwd tmpl proto esp mode tunnel");
  const auto some = has_ipsec_policies();
  REQUIRE(some);
  CHECK(*some);
  CHECK(live_surroundings(Family::kIpv4, "").surroundings.ipsec == true);
}

TEST_CASE("The leftovers of kube-proxy's ipvs mode are named") {
  if (!test::enter_fresh_namespace()) return;
  CHECK(live_surroundings(Family::kIpv4, "").not_looked_at.empty());
  sh("ip link add kube-ipvs0 type veth peer name other");
  CHECK(names(live_surroundings(Family::kIpv4, "").not_looked_at, "ipvs"));
}

TEST_CASE("The node around the rules asks the kernel") {
  if (!test::enter_fresh_namespace()) return;
  make_node();
  CHECK(arrival_interface(ip("10.1.0.7")) == "in");
  CHECK(arrival_interface(ip("fd00:2::7")) == "out");
  CHECK(arrival_interface(ip("10.99.0.1")).empty());
  CHECK(arrival_interface(ip("10.1.0.1")).empty());
  const LiveNode node = live_surroundings(Family::kIpv4, "in");
  CHECK(node.surroundings.ip_forward == true);
  CHECK(node.surroundings.rp_filter("in") == 0);
  CHECK(node.surroundings.ask_route(arriving("10.1.0.7", "10.2.0.5")).interface == "out");
  CHECK(node.surroundings.now.value_or(0) > 1'700'000'000);
  REQUIRE(std::find(node.surroundings.local.begin(), node.surroundings.local.end(), ip("10.2.0.1")) !=
          node.surroundings.local.end());
}

}  // namespace kubenatd::netlink::host
