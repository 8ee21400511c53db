#include <catch2/catch.hpp>

#include "test/unit/rules/service_port_builder.h"

using namespace kubenatd::rules;
using namespace kubenatd::rules::iptables;
using namespace kubenatd::rules::iptables::test;

namespace {

// demo/web:http, tcp.
#define HASH "XRY76EGRC3BSCIIJ"

std::vector<Address> addresses(std::initializer_list<std::string_view> texts) {
  std::vector<Address> list;
  for (const std::string_view text : texts) list.push_back(Address::parse(text).value());
  return list;
}

}  // namespace

TEST_CASE("a cluster IP leads to the cluster chain") {
  CHECK(dispatch_of(web(), options()) ==
        Lines{"nat KUBE-SERVICES -d 10.96.10.10/32 -p tcp -m comment --comment \"demo/web:http cluster IP\" "
              "-m tcp --dport 80 -j KUBE-SVC-" HASH});
}

TEST_CASE("a cluster IP of internal policy Local leads to the local chain") {
  ServicePortView view = web();
  view.internal_policy_local = true;
  CHECK(dispatch_of(view, options()) ==
        Lines{"nat KUBE-SERVICES -d 10.96.10.10/32 -p tcp -m comment --comment \"demo/web:http cluster IP\" "
              "-m tcp --dport 80 -j KUBE-SVL-" HASH});
}

TEST_CASE("a cluster IP without endpoints is rejected") {
  CHECK(dispatch_of(web_without_endpoints(), options()) ==
        Lines{"filter KUBE-SERVICES -d 10.96.10.10/32 -p tcp -m comment --comment \"demo/web:http has no endpoints\" "
              "-m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable"});
  // Internal policy Local makes no difference when there is none anywhere.
  ServicePortView view = web_without_endpoints();
  view.internal_policy_local = true;
  CHECK(dispatch_of(view, options()) == dispatch_of(web_without_endpoints(), options()));
}

TEST_CASE("a cluster IP of internal policy Local is dropped when endpoints are elsewhere") {
  ServicePortView view = web_elsewhere();
  view.internal_policy_local = true;
  CHECK(dispatch_of(view, options()) ==
        Lines{"filter KUBE-SERVICES -d 10.96.10.10/32 -p tcp -m comment "
              "--comment \"demo/web:http has no local endpoints\" -m tcp --dport 80 -j DROP"});
}

TEST_CASE("external IPs lead to the external chain, in their order") {
  ServicePortView view = web();
  view.external_ips = addresses({"192.0.2.9", "192.0.2.1"});
  CHECK(dispatch_of(view, options()) ==
        Lines{"nat KUBE-SERVICES -d 10.96.10.10/32 -p tcp -m comment --comment \"demo/web:http cluster IP\" "
              "-m tcp --dport 80 -j KUBE-SVC-" HASH,
              "nat KUBE-SERVICES -d 192.0.2.9/32 -p tcp -m comment --comment \"demo/web:http external IP\" "
              "-m tcp --dport 80 -j KUBE-EXT-" HASH,
              "nat KUBE-SERVICES -d 192.0.2.1/32 -p tcp -m comment --comment \"demo/web:http external IP\" "
              "-m tcp --dport 80 -j KUBE-EXT-" HASH});
}

TEST_CASE("external addresses without endpoints are rejected") {
  ServicePortView view = web_without_endpoints();
  view.external_ips = addresses({"192.0.2.9"});
  view.load_balancer_ips = addresses({"203.0.113.10"});
  view.source_ranges = {*Prefix::parse("198.51.100.0/24")};
  view.node_port = 30080;
  const std::string rejected = " -j REJECT --reject-with icmp-port-unreachable";
  CHECK(dispatch_of(view, options()) ==
        Lines{"filter KUBE-SERVICES -d 10.96.10.10/32 -p tcp -m comment --comment \"demo/web:http has no endpoints\" "
              "-m tcp --dport 80" +
                  rejected,
              "filter KUBE-EXTERNAL-SERVICES -d 192.0.2.9/32 -p tcp -m comment "
              "--comment \"demo/web:http has no endpoints\" -m tcp --dport 80" +
                  rejected,
              "filter KUBE-EXTERNAL-SERVICES -d 203.0.113.10/32 -p tcp -m comment "
              "--comment \"demo/web:http has no endpoints\" -m tcp --dport 80" +
                  rejected,
              "filter KUBE-EXTERNAL-SERVICES -p tcp -m comment --comment \"demo/web:http has no endpoints\" "
              "-m addrtype --dst-type LOCAL -m tcp --dport 30080" +
                  rejected});
}

TEST_CASE("external policy Local without local endpoints both routes and drops") {
  ServicePortView view = web_elsewhere();
  view.external_policy_local = true;
  view.external_ips = addresses({"192.0.2.9"});
  view.load_balancer_ips = addresses({"203.0.113.10"});
  view.node_port = 30080;
  view.health_check_node_port = 31000;
  CHECK(dispatch_of(view, options()) ==
        Lines{"nat KUBE-SERVICES -d 10.96.10.10/32 -p tcp -m comment --comment \"demo/web:http cluster IP\" "
              "-m tcp --dport 80 -j KUBE-SVC-" HASH,
              "nat KUBE-SERVICES -d 192.0.2.9/32 -p tcp -m comment --comment \"demo/web:http external IP\" "
              "-m tcp --dport 80 -j KUBE-EXT-" HASH,
              "filter KUBE-EXTERNAL-SERVICES -d 192.0.2.9/32 -p tcp -m comment "
              "--comment \"demo/web:http has no local endpoints\" -m tcp --dport 80 -j DROP",
              "nat KUBE-SERVICES -d 203.0.113.10/32 -p tcp -m comment --comment \"demo/web:http loadbalancer IP\" "
              "-m tcp --dport 80 -j KUBE-EXT-" HASH,
              "filter KUBE-EXTERNAL-SERVICES -d 203.0.113.10/32 -p tcp -m comment "
              "--comment \"demo/web:http has no local endpoints\" -m tcp --dport 80 -j DROP",
              "nat KUBE-NODEPORTS -p tcp -m comment --comment \"demo/web:http\" -m tcp --dport 30080 -j KUBE-EXT-" HASH,
              "filter KUBE-EXTERNAL-SERVICES -p tcp -m comment --comment \"demo/web:http has no local endpoints\" "
              "-m addrtype --dst-type LOCAL -m tcp --dport 30080 -j DROP",
              "filter KUBE-NODEPORTS -p tcp -m comment --comment \"demo/web:http health check node port\" "
              "-m tcp --dport 31000 -j ACCEPT"});
}

TEST_CASE("a Service without a cluster IP has no rule for one") {
  for (ServicePortView view : {web(), web_without_endpoints()}) {
    view.cluster_ip = {.family = Family::kIpv4};
    view.node_port = 30080;
    view.external_ips = addresses({"203.0.113.41"});
    const Lines lines = dispatch_of(view, options());
    REQUIRE(lines.size() == 2);
    for (const std::string& line : lines) {
      INFO(line);
      CHECK(line.find("0.0.0.0") == std::string::npos);
      CHECK(line.find("cluster IP") == std::string::npos);
      CHECK((line.find("203.0.113.41/32") != std::string::npos || line.find("30080") != std::string::npos));
    }
    for (const ChainRules& chain : compile(view, options()).chains)
      for (const Rule& rule : chain.rules) CHECK(to_text(rule, Family::kIpv4).find("cluster IP") == std::string::npos);
  }
}

TEST_CASE("source ranges lead through the firewall chain, and what it does not accept is dropped") {
  ServicePortView view = web();
  view.load_balancer_ips = addresses({"203.0.113.10", "203.0.113.11"});
  view.source_ranges = {*Prefix::parse("198.51.100.0/24")};
  const Lines lines = dispatch_of(view, options());
  REQUIRE(lines.size() == 5);
  CHECK(lines[1] ==
        "nat KUBE-SERVICES -d 203.0.113.10/32 -p tcp -m comment --comment \"demo/web:http loadbalancer IP\" "
        "-m tcp --dport 80 -j KUBE-FW-" HASH);
  CHECK(lines[2] ==
        "filter KUBE-PROXY-FIREWALL -d 203.0.113.10/32 -p tcp -m comment "
        "--comment \"demo/web:http traffic not accepted by KUBE-FW-" HASH "\" -m tcp --dport 80 -j DROP");
  CHECK(lines[3] ==
        "nat KUBE-SERVICES -d 203.0.113.11/32 -p tcp -m comment --comment \"demo/web:http loadbalancer IP\" "
        "-m tcp --dport 80 -j KUBE-FW-" HASH);
}

TEST_CASE("localhost NodePorts are counted when the counter exists, on IPv4") {
  ServicePortView view = web();
  view.node_port = 30080;
  CompileOptions with_localhost = options();
  with_localhost.node.localhost_node_ports = true;
  const Lines lines = dispatch_of(view, with_localhost);
  REQUIRE(lines.size() == 3);
  CHECK(lines[1] ==
        "nat KUBE-NODEPORTS -d 127.0.0.0/8 -p tcp -m comment --comment \"demo/web:http\" -m tcp "
        "--dport 30080 -m nfacct --nfacct-name  localhost_nps_accepted_pkts -j KUBE-EXT-" HASH);
  CHECK(lines[2] ==
        "nat KUBE-NODEPORTS -p tcp -m comment --comment \"demo/web:http\" -m tcp --dport 30080 "
        "-j KUBE-EXT-" HASH);

  CompileOptions uncounted = with_localhost;
  uncounted.count_localhost = false;
  CHECK(dispatch_of(view, uncounted) == Lines{lines[0], lines[2]});
  CompileOptions off = with_localhost;
  off.node.localhost_node_ports = false;
  CHECK(dispatch_of(view, off) == Lines{lines[0], lines[2]});

  CompileOptions ipv6 = with_localhost;
  ipv6.node.family = Family::kIpv6;
  CHECK(dispatch_of(view, ipv6).size() == 2);
}

TEST_CASE("the health check port is open even without endpoints, and is always TCP") {
  ServicePortView view = web_without_endpoints();
  view.protocol = Protocol::kUdp;
  view.health_check_node_port = 31000;
  CHECK(dispatch_of(view, options()).back() ==
        "filter KUBE-NODEPORTS -p tcp -m comment --comment \"demo/web:http health check node port\" "
        "-m tcp --dport 31000 -j ACCEPT");
}

TEST_CASE("UDP, SCTP and IPv6 rules have their own matches") {
  ServicePortView view = web();
  view.protocol = Protocol::kSctp;
  CHECK(dispatch_of(view, options())[0].find("-p sctp -m comment --comment \"demo/web:http cluster IP\" "
                                             "-m sctp --dport 80") != std::string::npos);
  view = web_without_endpoints();
  view.protocol = Protocol::kUdp;
  view.cluster_ip = *Address::parse("fd00:10:96::a");
  CompileOptions ipv6;
  ipv6.node.family = Family::kIpv6;
  CHECK(
      dispatch_of(view, ipv6) ==
      Lines{"filter KUBE-SERVICES -d fd00:10:96::a/128 -p udp -m comment --comment \"demo/web:http has no endpoints\" "
            "-m udp --dport 80 -j REJECT --reject-with icmp6-port-unreachable"});
}

TEST_CASE("compile and compile_dispatch give the same rules") {
  ServicePortView view = web();
  view.external_ips = addresses({"192.0.2.9"});
  view.load_balancer_ips = addresses({"203.0.113.10"});
  view.source_ranges = {*Prefix::parse("198.51.100.0/24")};
  view.node_port = 30080;
  const auto whole = compile(view, options()).dispatch;
  const auto part = compile_dispatch(view, options());
  REQUIRE(whole.size() == part.size());
  for (std::size_t i = 0; i < part.size(); ++i) {
    CHECK(whole[i].chain == part[i].chain);
    CHECK(whole[i].rule == part[i].rule);
  }
}

TEST_CASE("a comment is never longer than the kernel takes") {
  ServicePortView view = web();
  view.name = std::string(300, 'n');
  for (const DispatchRule& rule : compile_dispatch(view, options())) CHECK(comment_of(rule.rule).size() == 255);
}
